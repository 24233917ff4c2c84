# The operator's page as nginx serves it: from memory, with a policy under which
# only what is in it runs, kept by browsers until it changes.  What it does in a
# browser is tested in t/dashboard/.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_base64 sha256_hex /;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(start => 0);
my $g = $t->gateway;
my $file = $t->dir . '/page.html';

my @scripts = ("let a = '<style>b{}</style>';\n", 'let b = 1 < 2;');
my @styles = ("main { color: red }\n", '');
my $page = <<"END";
<!doctype html>
<!-- <script>in a comment</script> -->
<html lang="en"><head><title>t</title><scripts>none</scripts>
<style>$styles[0]</style>
<STYLE media=print>$styles[1]</STYLE>
</head><body><script type="module">$scripts[0]</script >
<p>1 < 2</p><script>$scripts[1]</SCRIPT></body></html>
END

sub page {
    my ($text) = @_;

    open(my $fh, '>:raw', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);
}

sub location {
    my ($args, $name) = @_;

    $name //= '/phota/dashboard/';

    return "location $name { phota_dashboard $args; }";
}

sub fetch {
    my ($path, %o) = @_;

    return Phota::HTTP::request($t->port, $o{method} || 'GET', $path,
        $o{headers} || [], $o{body});
}

sub hash {
    my ($text) = @_;

    return "'sha256-" . sha256_base64($text) . "='";
}

# what nginx doesn't start with

page($page);

for my $case (
    [ 'no file', location($t->dir . '/none.html'),
        qr{none\.html" can't be opened.*make dashboard} ],
    [ 'a directory', location($t->dir), qr/is not a file/ ],
    [ 'twice', "location /x/ { phota_dashboard $file; phota_dashboard $file; }",
        qr/"phota_dashboard" directive is duplicate/ ],
    [ 'no slash', location($file, '/phota/dashboard'), qr{ends with "/"} ],
    [ 'a pattern', location($file, '~ /dashboard/$'), qr{ends with "/"} ],
    [ 'where results are', "location /x/ { phota_results;"
        . " phota_dashboard $file; }", qr/has a handler already/ ],
) {
    my ($what, $text, $said) = @$case;

    $g->write_config(server => $text);

    my ($code, $words) = $g->run('-t');

    isnt($code, 0, "$what: refused");
    like($words, $said, "$what: and said so");
    like($words, qr/nginx\.conf:\d+/, "$what: and where");
}

for my $case (
    [ 'empty', '', qr/is not a file of 1 to/ ],
    [ 'too large', 'x' x (4 << 20) . 'x', qr/is not a file of 1 to/ ],
    [ 'lines of a PC', "<script>1;\r\n</script>", qr/carriage return/ ],
    [ 'a script without an end', '<script>1;', qr/without an end/ ],
    [ 'a style that begins', '<p><style', undef ],
    [ 'a comment without an end', '<!-- <p>', qr/without an end/ ],
    [ 'too many', '<script>1</script>' x 17, qr/too many scripts/ ],
) {
    my ($what, $text, $said) = @$case;

    page($text);
    $g->write_config(server => location($file));

    my ($code, $words) = $g->run('-t');

    if ($said) {
        isnt($code, 0, "$what: refused");
        like($words, $said, "$what: and said so");

    } else {
        is($code, 0, "$what: is as any text") or diag($words);
    }
}

# what it is answered

page($page);
$g->write_config(server => location($file));
$t->start;

my $answer = fetch('/phota/dashboard/');
my $policy = $answer->header('Content-Security-Policy') // 'none';
my $etag = $answer->header('ETag') // 'none';

is($answer->status, 200, 'GET without a token');
ok($answer->body eq $page, 'the page');
is($answer->header('Content-Type'), 'text/html; charset=utf-8', 'its type');
is($answer->header('Content-Length'), length $page, 'its length');
is($etag, '"' . substr(sha256_hex($page), 0, 32) . '"', 'a strong ETag');
is($answer->header('Cache-Control'), 'private, no-cache', 'asked for again');
is($answer->header('X-Content-Type-Options'), 'nosniff', 'nothing to guess');
is($answer->header('Referrer-Policy'), 'no-referrer', 'tells nobody');
is($answer->header("Cross-Origin-$_-Policy"), 'same-origin', "$_: apart")
    for qw/ Opener Resource /;

my %policy = map { my ($name, $value) = split / /, $_, 2; $name => $value }
    split /; /, $policy;

is_deeply(\%policy, {
    'default-src' => "'none'",
    'script-src' => join(' ', map { hash($_) } @scripts),
    'style-src' => join(' ', map { hash($_) } @styles),
    'img-src' => "'self' data:",
    'connect-src' => "'self'",
    'base-uri' => "'none'",
    'form-action' => "'none'",
    'frame-ancestors' => "'none'",
    'require-trusted-types-for' => "'script'",
    'trusted-types' => "'none'",
}, 'what is in it may run, and nothing else') or diag($policy);

my $head = fetch('/phota/dashboard/', method => 'HEAD');

is($head->status, 200, 'HEAD');
is($head->body, '', 'has no body');
is($head->header($_), $answer->header($_), "and the same $_")
    for qw/ Content-Type Content-Length ETag Content-Security-Policy /;

for my $case ([ $etag, 304 ], [ "W/$etag", 304 ], [ '"x"', 200 ]) {
    my ($value, $status) = @$case;
    my $again = fetch('/phota/dashboard/', headers =>
        [ 'If-None-Match' => $value ]);

    is($again->status, $status, "If-None-Match: $value");
    ok($again->body eq ($status == 304 ? '' : $page), 'with what it needs');
    is($again->header('ETag'), $etag, 'and the ETag');
}

my $short = fetch('/phota/dashboard');

is($short->status, 301, 'without its slash');
like($short->header('Location'), qr{/phota/dashboard/$}, 'is elsewhere');

is(fetch('/phota/dashboard/?a=b')->status, 200, 'with a query');
is(fetch('/phota/dashboard/x')->status, 404, 'what is below it');
is(fetch('/phota/dashboard/', method => $_, body => 'x')->status, 405,
    "no $_") for qw/ POST PUT DELETE /;

# it is in memory, until nginx is configured anew

page('<p>new</p>');
is(fetch('/phota/dashboard/')->header('ETag'), $etag, 'a new file is not yet');
ok($g->reload, 'reloaded');

$answer = fetch('/phota/dashboard/', headers => [ 'If-None-Match' => $etag ]);

is($answer->body, '<p>new</p>', 'the new page');
like($answer->header('Content-Security-Policy'),
    qr/; script-src 'none'; style-src 'none';/, 'has nothing that runs');

# with what nginx can do besides

ok($g->reload(server => 'gzip on; gzip_min_length 1;'
    . " location = /page/ { phota_dashboard $file;"
    . ' limit_except GET { deny all; } }'), 'another location');

$answer = fetch('/page/', headers => [ 'Accept-Encoding' => 'gzip' ]);

is($answer->status, 200, 'an exact one');
is($answer->header('Content-Encoding'), 'gzip', 'compressed by nginx');
like($answer->header('ETag'), qr{^W/"[0-9a-f]{32}"$}, 'a weak ETag');
is(fetch('/page/', method => 'POST', body => 'x')->status, 403,
    'what is denied');

$t->finish(log => qr{\[emerg\] .*phota_dashboard});

done_testing();
