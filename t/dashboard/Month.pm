package Month;

# A month of books, the same whenever it is made but for its dates: tenants of
# different sizes, weekdays and weekends, hits that save, a few failures, two
# purchases that nobody knows the end of.  Written by the ledger's own calls
# with a clock that is set.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use IPC::Open2;
use IO::Handle;
use Phota::Test;
use POSIX ();

my $here = dirname(abs_path(__FILE__));
my $top = abs_path("$here/../..");

use constant DAY => 86_400_000;

use constant { REMIX => 0, ENHANCE => 1, EDIT => 2, GENERATE => 3 };
use constant { MISS => 1, HIT => 2, SETTLED => 2, VOID => 3, UNKNOWN => 4 };
use constant { DELIVERED => 1, REFUSED => 3, SERVER_ERROR => 4,
    TIMEOUT => 8 };

# share of the traffic, of hits, what it is made of

my @tenants = (
    { name => 'acme', weight => 26, hits => 0.42, tags => [ 'spring', 'app' ],
        operations => [ (REMIX) x 6, (ENHANCE) x 3, EDIT ],
        set => [ qw/ --markup 25% --hit-price 20% --budget-day 60 --budget-total 400
            --budget-month 900 / ] },
    { name => 'globex', weight => 14, hits => 0.25, tags => [ 'catalogue' ],
        operations => [ (REMIX) x 2, (ENHANCE) x 6 ],
        set => [ qw/ --markup 40% --budget-month 260 / ] },
    { name => 'initech', weight => 7, hits => 0.6, tags => [ '' ],
        operations => [ (EDIT) x 3, GENERATE ],
        set => [ qw/ --markup 15% --budget-total 2500 / ] },
    { name => 'umbrella-studios', weight => 3, hits => 0.1, tags => [ '', 'x' ],
        operations => [ (GENERATE) x 2, REMIX ], set => [ qw/ --markup 10% / ] },
);

# a Phota::Test that runs over two of them, with the API, the page, pictures that
# were bought just now, one with a tag that means something to a spreadsheet,
# and one call that got lost

sub gateway {
    my $page = $ENV{PHOTA_PAGE} || "$top/build/dashboard.html";
    my $t = Phota::Test->new(tenants => [ map { $_->{name} } @tenants ],
        start => 0, server => 'location /phota/ { phota_api write; }'
        . " location /phota/dashboard/ { phota_dashboard $page; }");

    make($t, $ENV{PHOTA_BOOKS} || "$top/build/books-driver", 62);
    $t->start;

    for my $case ([ 'acme', '-20% sale', 1 ], [ 'acme', 'app', 1 ], [ 'globex', 'catalogue', 1 ],
        [ 'acme', 'spring', 3 ])
    {
        my ($tenant, $tag, $many) = @$case;
        my $answer = $t->post('remix', $t->token($tenant),
            remix(prompt => $tag, num_output_images => $many),
            headers => [ 'Phota-Tag' => $tag ]);

        die "not bought: $case\n" if $answer->status != 200;
    }

    $t->post('remix', $t->token('acme'), remix(prompt => 'lost'),
        headers => [ 'Phota-Tag' => 'app' ], fault => 'status=500');

    return $t;
}


# runs a script of this directory with a browser: exit code, stdout, stderr

sub browse {
    my ($t, $script, %env) = @_;

    my $origin = 'http://127.0.0.1:' . $t->port;

    %env = (PHOTA_URL => "$origin/phota/dashboard/", PHOTA_ORIGIN => $origin,
        PHOTA_PROFILE => $t->dir . '/profile', HOME => $t->dir,
        PHOTA_BROWSER => $ENV{PHOTA_BROWSER} || "$top/build/node/browser",
        %env);

    mkdir $env{PHOTA_PROFILE};

    local @ENV{keys %env} = values %env;

    return Phota::Gateway::execute([ 'node', "$here/$script" ]);
}


# numbers that look random and aren't

my $seed = 42;

sub chance {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;

    return $seed / 2147483648;
}

sub one_of { $_[int(chance() * @_)] }


# Prices and plans, then so many days up to an hour ago (ms), in the books of a
# Phota::Test that isn't started.

sub make {
    my ($t, $driver, $days) = @_;

    $t->ctl_ok(qw/ price add --operation edit --usd 0.10 --from 2020-01-01 /);
    $t->ctl_ok(qw/ price add --operation generate --usd 0.08 --from
        2020-01-01 /);
    $t->ctl_ok('tenant', 'set', $_->{name}, @{$_->{set}}) for @tenants;

    my $now = int(time() * 1000) - 3_600_000;
    my $self = bless { number => 0 }, __PACKAGE__;

    $self->{pid} = open2($self->{out}, $self->{in}, $driver);
    $self->ask('open', $t->gateway->data);

    for my $day (reverse 0 .. $days - 1) {
        $self->day($now - $day * DAY, $day, $days);
    }

    $self->unknown($now);
    $self->ask('close');

    close $self->{in};
    waitpid $self->{pid}, 0;

    # whose the rest is

    my ($uid, $gid) = (stat $t->gateway->data . '/books/data.mdb')[4, 5];

    chown $uid, $gid, glob($t->gateway->data . '/books/*');
}


sub ask {
    my ($self, @command) = @_;

    my $out = $self->{out};

    print {$self->{in}} join("\t", @command), "\n";
    $self->{in}->flush;

    while (defined(my $line = <$out>)) {
        next if $line !~ /^= (\S+)/;
        return if $1 eq 'OK' || $1 eq 'EXCEEDED';
        die "@command: $line";
    }

    die "@command: no answer\n";
}


sub clock {
    my ($self, $ms) = @_;

    $self->{clock} = $ms;
    $self->ask('clock', $ms);
}


sub id {
    my ($self) = @_;

    return sprintf '%012x%020x', $self->{clock}, ++$self->{number};
}


# more in the middle of the week and towards the end

sub day {
    my ($self, $end, $ago, $days) = @_;

    my $weekday = (gmtime($end / 1000))[6];
    my $busy = (0.35, 0.9, 1.1, 1.2, 1.05, 0.95, 0.45)[$weekday]
        * (0.6 + 0.6 * ($days - $ago) / $days) * (0.85 + 0.3 * chance());

    $self->clock($end - 20 * 3_600_000);
    $self->ask('begin');

    for my $i (0 .. $#tenants) {
        my $tenant = $tenants[$i];

        for (1 .. POSIX::ceil($tenant->{weight} * $busy)) {
            $self->call($i + 1, $tenant, $ago);
        }
    }

    $self->ask('tally', 1000);
    $self->ask('commit');
}


sub call {
    my ($self, $id, $tenant, $ago) = @_;

    my $operation = one_of(@{$tenant->{operations}});
    my $tag = one_of(@{$tenant->{tags}});
    my $cost = (120_000, 120_000, 100_000, 80_000)[$operation];

    $self->clock($self->{clock} + 60_000 + int(chance() * 600_000));

    # what is in the cache grows

    if (chance() < $tenant->{hits} * (1 - $ago / 60)) {
        my @free = ($self->{clock}, $id, $id, $operation, $tag, 1, $cost);

        return $id == 1
            ? $self->ask('sell', $self->id, $id, $id, $operation, HIT, 1, 0,
                $tag, '', '', 1, 0, $cost)
            : $self->ask('hit', @free);
    }

    my $outputs = one_of(1, 1, 1, 2, 4);
    my $charge = $self->id;
    my $fate = chance();

    $self->ask('hold', $charge, $id, $id, $operation, MISS, $outputs, 0, $tag,
        '', '');
    $self->clock($self->{clock} + 15_000);

    return $self->end($charge, VOID, REFUSED, 422, 0) if $fate < 0.03;
    return $self->end($charge, SETTLED, DELIVERED, 200, $outputs);
}


sub end {
    my ($self, $charge, $state, $reason, $status, $outputs) = @_;

    eval {
        $self->ask('end', $charge, $state, $reason, $status, $outputs, 0, 0, 0,
            0, 'req-' . substr($charge, -6), '', '');
        1;
    } or $@ =~ /DECLINED/ or die $@;        # its hold went beyond a budget
}


sub unknown {
    my ($self, $now) = @_;

    for my $case (
        [ 1, REMIX, 4, 'app', SERVER_ERROR, 502, 26 * 3_600_000 ],
        [ 2, ENHANCE, 1, 'catalogue', TIMEOUT, 0, 50 * 60_000 ],
    ) {
        my ($id, $operation, $asked, $tag, $reason, $status, $age) = @$case;
        my $charge;

        $self->clock($now - $age);
        $charge = $self->id;
        $self->ask('hold', $charge, $id, $id, $operation, MISS, $asked, 0, $tag,
            '', '');
        $self->end($charge, UNKNOWN, $reason, $status, 0);
    }
}

1;
