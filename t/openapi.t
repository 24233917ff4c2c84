# The description of the API is its own: the file that is shipped, what the
# location serves and what photactl prints are one text, every command that the
# API has is in it with its parameters, and each of its paths is answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::API;
use Phota::Gateway;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(server => <<'EOF_SERVER');
location /phota/ { phota_api; }
EOF_SERVER

my $api = Phota::API->new($t, scope => 'read');
my $file = Phota::Gateway::slurp("$Phota::Gateway::top/conf/openapi.json");

is($t->ctl_ok('openapi'), $file,
    'conf/openapi.json is as it is made (photactl openapi > conf/openapi.json)');

my $answer = $api->get('openapi.json');

is($answer->status, 200, 'the location serves it');
is($answer->header('Content-Type'), 'application/json', 'as JSON');
is($answer->body, $file, 'the same');

my $doc = JSON::PP::decode_json($file);

is($doc->{openapi}, '3.1.0', 'OpenAPI 3.1');

# every reference leads somewhere

my @refs = $file =~ /"\$ref": "#\/([^"]+)"/g;

ok(@refs > 100, 'there are references');

for my $ref (sort keys %{{ map { $_ => 1 } @refs }}) {
    my $at = $doc;
    $at = ref $at ? $at->{$_} : undef for split m{/}, $ref;
    ok(ref $at, "$ref is there");
}

# operations are told apart

my %ids;

for my $path (sort keys %{$doc->{paths}}) {
    for my $method (sort keys %{$doc->{paths}{$path}}) {
        my $operation = $doc->{paths}{$path}{$method};

        ok(!$ids{$operation->{operationId}}++,
            "$method $path has a name of its own");
        like($operation->{summary}, qr/\S/, 'and says what it does');
    }
}

# the commands that photactl has, but for those that need the machine

my %local = map { $_ => 1 } qw{ /init /help /backup /restore /cache/check
    /cache/compact /doctor /rekey /migrate /completion };

my @commands = $t->ctl_ok('help') =~ /^  ([a-z]\S*(?: [a-z]+)?)  /mg;

ok(@commands > 30, 'photactl has commands');

for my $command (@commands) {
    my $path = "/$command";

    $path =~ tr{ }{/};
    $path = '/openapi.json' if $path eq '/openapi';

    ok($doc->{paths}{$path} || $local{$path}, "$command: over the API, or not");
    ok(!($doc->{paths}{$path} && $local{$path}), 'but not both');
}

# each path is answered by its methods, and each of its parameters is known: who
# may only read is told so, and what has a bad value is named

for my $path (sort keys %{$doc->{paths}}) {
    my $methods = $doc->{paths}{$path};
    my $at = substr($path, 1);

    is($api->request('POST', $at, '{}')->status, $methods->{post} ? 403 : 405,
        "POST $path");

    my $status = $api->get($at)->status;

    if (!$methods->{get}) {
        is($status, 405, "GET $path");
        next;
    }

    my @needed = grep { $_->{required} } @{$methods->{get}{parameters}};

    is($status, @needed ? 422 : 200, "GET $path");

    for my $parameter (@{$methods->{get}{parameters}}) {
        my $json = $api->get($at, $parameter->{name} => 'x y')->json;

        unlike($json->{detail} // '', qr/no parameter/,
            "$path has $parameter->{name}");
    }

    my $unknown = $api->get($at, no_such_thing => 1);

    is($unknown->status, 422, "$path has no others");
    is($unknown->json->{field}, 'no_such_thing', 'and says which');
}

$t->finish;
done_testing();
