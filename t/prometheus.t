# With a real Prometheus: it takes what the gateway says, the rules are right,
# an unknown that ages raises an alert, and whatever alerts and dashboard ask
# for is there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Metrics;
use Phota::Test;
use Test::More;

my $top = $Phota::Gateway::top;
my $prometheus = '/usr/bin/prometheus';
my $promtool = '/usr/bin/promtool';

plan(skip_all => 'prometheus is not installed: make test-metrics')
    if !-x $prometheus || !-x $promtool;

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(start => 0, server => $Phota::Metrics::server);
my $dir = $t->dir . '/prometheus';

$t->ctl_ok(qw/ tenant set acme --budget-day 0.30 /);
$t->start;
mkdir $dir;

my $acme = $t->token('acme');

# --- what is shipped

is_fine([ $promtool, qw/ check rules /, "$top/conf/alerts.yml" ],
    'the rules are right');
is_fine([ $promtool, qw/ check config /, "$top/conf/prometheus.yml" ],
    'the example is right');

$t->post('remix', $acme, remix(prompt => 'bought'));
$t->post('remix', $acme, remix(prompt => 'bought'));
$t->post('remix', $acme, remix(prompt => 'lost'), fault => 'status=500');

for my $tenants (0, 1) {
    my $text = Phota::Metrics->scrape($t->port, tenants => $tenants)
        ->answer->body;

    write_file("$dir/metrics", $text);
    is_fine([ '/bin/sh', '-c', "$promtool check metrics < $dir/metrics" ],
        'promtool has nothing to say about the text');
}


# --- scraped

# a copy that looks often, and has no patience

my $port = Phota::Gateway::free_port();
my $rules = Phota::Gateway::slurp("$top/conf/alerts.yml");

$rules =~ s/^(\s+for:) \S+$/$1 0s/mg;
$rules =~ s/(state="unknown"\}) > 3600/$1 > 2/ or die "no such alert\n";
write_file("$dir/alerts.yml", $rules);

my $config = Phota::Gateway::slurp("$top/conf/prometheus.yml");

$config =~ s/15s/500ms/g;
$config =~ s{127\.0\.0\.1:8080}{'127.0.0.1:' . $t->port}e;
$config =~ s{/phota/metrics$}{/phota/tenants}m;
write_file("$dir/prometheus.yml", $config);

my $pid = fork() // die "fork: $!\n";

if ($pid == 0) {
    open(STDOUT, '>', "$dir/log");
    open(STDERR, '>&', \*STDOUT);
    exec($prometheus, "--config.file=$dir/prometheus.yml",
        "--storage.tsdb.path=$dir/data",
        "--web.listen-address=127.0.0.1:$port") or POSIX::_exit(1);
}

END {
    my $code = $?;
    if ($pid) {
        kill('TERM', $pid);
        waitpid($pid, 0);
    }
    $? = $code;
}

ok(wait_for(sub { (query('phota_build_info'))[1] }, 60 * $slow),
    'Prometheus has read the gateway')
    or diag(Phota::Gateway::slurp("$dir/log"));
is(value('up{job="phota"}'), 1, 'and finds it up');
is(value('sum(phota_books_calls)'), 2, 'with two calls in the books');
is(value('sum(phota_calls_total{cache="hit"})'), 1, 'one of them a hit');

ok(wait_for(sub { fires('PhotaUnknownAgeing') }, 60 * $slow),
    'an unknown that ages raises an alert');
ok(!fires('PhotaDown'), 'and nothing else is said to be down');

my ($charge) = map { $_->{charge_id} } grep { $_->{state} eq 'unknown' }
    $t->gateway->ledger;

$t->ctl_ok(qw/ holds void --reason seen /, $charge);
ok(wait_for(sub { !fires('PhotaUnknownAgeing') }, 60 * $slow),
    'which ends when somebody has seen to it');


# --- what is asked for is there

my %asked;

for my $group (ask("rules")->{data}{groups}) {
    for my $rule (map { @{$_->{rules}} } @$group) {
        is($rule->{health}, 'ok', "$rule->{name}: can be evaluated");
        $asked{"alert $rule->{name}"} = $rule->{query};
    }
}

my $board = JSON::PP::decode_json(
    Phota::Gateway::slurp("$top/conf/grafana.json"));

for my $panel (@{$board->{panels}}) {
    for my $target (@{$panel->{targets}}) {
        my $expr = $target->{expr};

        $expr =~ s/\$__rate_interval/1m/g;
        $asked{"panel \"$panel->{title}\", $target->{refId}"} = $expr;
    }
}

cmp_ok(scalar keys %asked, '>', 30, 'alerts and panels');

for my $what (sort keys %asked) {
    my ($error) = query($asked{$what});

    is($error, '', "$what: no error");

    while ($asked{$what} =~ /\b((?:phota_\w+|up))(\{[^}]*\})?/g) {
        my ($name, $labels) = ($1, $2 // '');

        ok((query("$name$labels"))[1], "$what: $name$labels exists");
    }
}

$t->finish;

done_testing();


# --- Prometheus

sub is_fine {
    my ($command, $name) = @_;

    my ($code, $out, $err) = Phota::Gateway::execute($command);

    is($code, 0, $name) or diag($out, $err);
}

sub ask {
    my ($what) = @_;

    my $answer = eval { Phota::HTTP::request($port, 'GET', "/api/v1/$what",
        [], undef) } or return {};

    return eval { JSON::PP::decode_json($answer->body) } || {};
}

# an error, or '', and the series

sub query {
    my ($expr) = @_;

    $expr =~ s/([^A-Za-z0-9_])/sprintf('%%%02X', ord $1)/ge;

    my $json = ask("query?query=$expr");

    return (($json->{status} // '') eq 'success' ? ''
        : $json->{error} // 'no answer', @{$json->{data}{result} || []});
}

sub value {
    my ($error, $first) = query(@_);

    return $first ? $first->{value}[1] : $error;
}

sub fires {
    my ($name) = @_;

    return (query("ALERTS{alertname=\"$name\",alertstate=\"firing\"}"))[1];
}

sub write_file {
    my ($file, $text) = @_;

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);
}
