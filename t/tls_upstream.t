# Phota is spoken to over TLS, and only to Phota: a certificate that doesn't
# verify, or a wrong name, and nothing is sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(start => 0, sim => { tls => 1 }, scheme => 'https');
my $g = $t->gateway;
my $acme = $t->token('acme');
my $ca = $t->sim->ca;

$g->{upstream} = '127.0.0.1:' . $t->sim->tls_port;

sub with {
    my (%params) = @_;

    $g->{params} = \%params;
    $g->master ? $g->reload : $t->start;
}

with(proxy_ssl_trusted_certificate => $ca);

my $answer = $t->post('remix', $acme, remix());

$t->is_miss($answer, '0.120000', 'bought over TLS');
is($t->sim->last->{tls}{server_name}, 'api.photalabs.com', 'with SNI');

my $large = $t->post('remix', $acme, remix(input => noise(5_000_000)),
    headers => [ 'X-Sim-Size' => 'medium' ]);

$t->is_miss($large, '0.120000', 'with megabytes');

my $calls = $t->calls;

sub refused {
    my ($what) = @_;

    my $failed = $t->post('remix', $acme, remix(prompt => $what));

    $t->is_error($failed, 502, 'UPSTREAM_FAILED', $what);
    is($t->calls, $calls, "$what: nothing was sent");

    my ($charge) = grep { $_->{state} ne 'settled' }
        reverse $t->gateway->ledger;

    is($charge->{state}, 'void', "$what: void");
}

with();
refused('an unknown CA');

with(proxy_ssl_trusted_certificate => $ca,
    proxy_ssl_name => 'api.example.com');
refused('another name');

with(proxy_ssl_trusted_certificate => $ca);

$answer = $t->post('remix', $acme, remix(prompt => 'reset'),
    fault => 'truncate=1000');

$t->is_error($answer, 502, 'OUTCOME_UNKNOWN', 'cut within TLS');

$t->is_miss($t->post('remix', $acme, remix(prompt => 'again')), '0.120000',
    'and bought again');

$t->finish(unknown => 1, holds => 1, log => qr/SSL_do_handshake\(\) failed/);

done_testing();
