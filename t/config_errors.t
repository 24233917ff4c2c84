# A configuration that would lose money doesn't sell: nginx refuses to start,
# or the key isn't handed on, the client gets 503, and the log says what is
# missing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(start => 0);
my $g = $t->gateway;
my $acme = $t->token('acme');
my $port = $t->sim->port;

sub location {
    my ($text, $name) = @_;

    $name //= 'location /upstream/';

    return <<"EOF_LOCATION";
        $name {
            $text
            proxy_pass http://phota_api/;
        }
EOF_LOCATION
}

# what is found out at the start

my $params = "$Phota::Gateway::top/conf/phota_params";

for my $case (
    [ 'no such location', '', qr/upstream/ ],
    [ 'a location that is not internal', location("include $params;"),
        qr/internal/ ],
    [ 'a regular expression instead',
        location("internal; include $params;", 'location ~ ^/other/'),
        qr/upstream/ ],
) {
    my ($what, $text, $said) = @$case;

    $text =~ s{http://phota_api/}{http://phota_api} if $text =~ / ~ /;
    $g->write_config(location => $text);

    my ($code, $words) = $g->run('-t');

    isnt($code, 0, "$what: refused");
    like($words, $said, "$what: and said so");
    like($words, qr/nginx\.conf:\d+|phota_pass/, "$what: and where");
}

$g->write_config(location => undef);

for my $mode (0644, 0660, 0604, 0666, 0620) {
    chmod $mode, $g->dir . '/master.key';

    my ($code, $words) = $g->run('-t');

    isnt($code, 0, sprintf('a key file of mode %04o: refused', $mode));
    like($words, qr/master\.key/, 'and said so');
}

for my $mode (0600, 0640, 0400) {
    chmod $mode, $g->dir . '/master.key';

    my ($code, $words) = $g->run('-t');

    is($code, 0, sprintf('a key file of mode %04o: fine', $mode))
        or diag($words);
}

my $key = Phota::Gateway::slurp($g->dir . '/master.key');

for my $bad ('', 'abc', 'z' x 64, 'a' x 63, 'a' x 65) {
    write_key($bad);

    my ($code, $words) = $g->run('-t');

    isnt($code, 0, 'a key of ' . length($bad) . ' characters: refused');
    like($words, qr/master\.key/, 'and said so');
    unlike($words, qr/aaaa|zzzz/, 'without its text');
}

write_key($key);

sub write_key {
    my ($text) = @_;

    chmod 0600, $g->dir . '/master.key';
    open(my $fh, '>', $g->dir . '/master.key') or die "master.key: $!\n";
    print $fh $text;
    close($fh);
}

for my $case (
    [ 'phota_data missing', sub { $_[0] =~ s/phota_data[^;]*;//r },
        qr/phota_data/ ],
    [ 'phota_master_key missing',
        sub { $_[0] =~ s/phota_master_key[^;]*;//r }, qr/phota_master_key/ ],
    [ 'phota_pass without an argument',
        sub { $_[0] =~ s/phota_pass [^;]*;/phota_pass;/r }, qr/phota_pass/ ],
    [ 'phota_pass of a bad prefix',
        sub { $_[0] =~ s/phota_pass [^;]*;/phota_pass upstream;/r },
        qr/phota_pass|upstream/ ],
    [ 'phota_cache of an unknown operation',
        sub { $_[0] =~ s/(phota_pass [^;]*;)/$1 phota_cache paint;/r },
        qr/paint/ ],
    [ 'phota_cache of what only has a price',
        sub { $_[0] =~ s/(phota_pass [^;]*;)/$1 phota_cache training;/r },
        qr/training/ ],
) {
    my ($what, $change, $said) = @$case;

    $g->{config} = $change;
    $g->write_config;

    my ($code, $words) = $g->run('-t');

    isnt($code, 0, "$what: refused");
    like($words, $said, "$what: and said so");
}

delete $g->{config};

# what is found out at the first call

my @unsafe = (
    [ 'client aborts are not ignored', { proxy_ignore_client_abort => 'off' },
        qr/proxy_ignore_client_abort/ ],
    [ 'it tries again', { proxy_next_upstream => 'error timeout' },
        qr/proxy_next_upstream/ ],
    [ 'it stores', { proxy_store => $t->dir . '/stored' },
        qr/proxy_store|store/ ],
    [ 'no key is handed on', { 'proxy_set_header X-API-Key' => undef },
        qr/phota_upstream_key/ ],
);

for my $case (@unsafe) {
    my ($what, $change, $said) = @$case;

    delete $g->{location};
    $g->write_config(params => $change);
    $t->start;

    my $before = length $g->log;

    for my $n (1 .. 2) {
        my $answer = $t->post('remix', $acme, remix(prompt => $what));

        is($answer->status, 503, "$what: 503");
        like($answer->json->{code}, qr/\S/, "$what: in Phota's shape");
    }

    like(substr($g->log, $before), $said, "$what: the log says what");
    is($t->bill->{amount}, 0, "$what: nothing was bought");
    is($t->calls - $t->sim->counters->{refused}, 0, "$what: no key went out");

    ok(wait_for(sub { !$g->holds }, 5), "$what: no hold is left");
    $t->stop;
}

# and right again

$g->write_config(params => undef);
$t->start;
$t->is_miss($t->post('remix', $acme, remix()), '0.120000', 'right: sells');

$t->finish(log => qr/phota|master\.key|upstream/);

done_testing();
