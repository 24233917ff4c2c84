package Model;

# What the books promise, told a second time and from their contract alone: the
# commands of the books driver, and what it has to answer to each.  Sums are
# never stored here that can be worked out from the charges and entries.

use strict;
use warnings;

use Math::BigInt;
use Storable qw/ dclone /;
use Time::Local qw/ timegm /;
use POSIX qw/ floor tzset /;

use constant {
    DAY  => 86_400_000,
    HOUR => 3_600_000,
    PPM  => 1_000_000,
    MAX  => 10_000_000_000_000,         # of an amount
    RATE => 1_000_000_000_000,          # of a price

    HELD => 1, SETTLED => 2, VOID => 3, UNKNOWN => 4, REVERSED => 5,
    CORRECTED => 6, HITS => 7, ACCEPTED => 8,

    MISS => 1, HIT => 2, JOIN => 3, BYPASS => 4,

    TAKEN_ON => 10, ABANDONED => 11, DEADLINE => 15, SERVED => 16,

    BILLED => 1, FIXED => 1, ESTIMATED => 2,

    DAYS_KEPT => 40, MONTHS_KEPT => 3,
};

our @operations = qw/ remix enhance edit generate /;
my @sums = qw/ calls hits outputs identity cost price saved /;

# what a row means for an operation whose requests can't choose

my %only = (remix => [ qw/ nb2 2K / ], enhance => [ qw/ nb2 2K / ]);
my %preset = (edit => [ qw/ nb2 1K / ], generate => [ qw/ nb2 1K / ]);
my %metered = ('gpt-image-2' => 1);


sub new {
    my ($class) = @_;

    return bless {
        clock => 0,
        alive => {},        # epochs
        epoch => {},        # process -> epoch
        group => undef,     # the process that has a transaction open
        saved => undef,     # the books before it
        books => {
            time => 0, closed => 0, version => 0,
            charges => {}, entries => [], loose => {}, days => {},
            tenants => {}, names => {}, tokens => {}, prices => [],
            replays => {}, newest => {},
            deadline => [ 0, VOID ],
        },
    }, $class;
}


# Numbers.  Perl's are exact up to 2^63; what may be more goes the long way.

sub product {
    my ($n, @factors) = @_;
    my $size = abs $n;

    $size *= $_ for map { abs } @factors;

    if ($size < 9e18) {
        $n *= $_ for @factors;
        return $n;
    }

    $n = Math::BigInt->new($n);
    $n->bmul($_) for @factors;
    return $n;
}


sub half_up {
    my ($n, $unit) = @_;

    return scalar Math::BigInt->new($n)->badd($unit / 2)->bdiv($unit)
        if ref $n || abs $n > 9e18 - $unit;

    $n += $unit / 2;
    my $rest = $n % $unit;

    use integer;
    return ($n - $rest) / $unit;
}


# the number, or nothing when it is no amount

sub fitting {
    my ($n) = @_;

    return if $n > MAX || $n < 0;
    return ref $n ? $n->numify : $n;
}


sub count {
    my ($outputs, $identity, $base, $with) = @_;

    return if $identity > $outputs;

    my $sum = ($outputs - $identity) * $base + $identity * $with;

    return $sum > 9.2e18 ? undef : $sum;
}


sub cost_of {
    my ($terms, $outputs, $identity) = @_;

    return count($outputs, $identity, @$terms{qw/ rate with /});
}


sub price_of {
    my ($terms, $outputs, $identity, $cost) = @_;

    if ($terms->{flags} & FIXED) {
        my $full = count($outputs, $identity, @$terms{qw/ fixed fixed_with /});
        return if !defined $full;
        return fitting(half_up(product($full, $terms->{share}), PPM));
    }

    return fitting(half_up(product($cost, PPM + $terms->{markup}), PPM))
        if $terms->{share} == PPM;

    return fitting(half_up(
        product($cost, PPM + $terms->{markup}, $terms->{share}), PPM * PPM));
}


# Days, and months, of a zone.

sub day { return int($_[0] / DAY) }


my %local;

sub windows {
    my ($zone, $ms) = @_;
    my $s = int($ms / 1000);
    my @t;

    if ($zone =~ /^([+-])(\d\d):(\d\d)$/) {
        @t = gmtime($s + ($1 eq '-' ? -60 : 60) * (60 * $2 + $3));

    } elsif ($zone eq '' || $zone eq 'UTC') {
        @t = gmtime $s;

    } else {
        my $row = $local{$zone}{int($s / 900)} //= do {
            local $ENV{TZ} = $zone;
            tzset();
            [ localtime $s ];
        };
        @t = @$row;
    }

    return (int(timegm(0, 0, 0, @t[3 .. 5]) / 86400),
        ($t[5] - 70) * 12 + $t[4]);
}


# Prices.

sub rate {
    my ($books, $operation, $model, $resolution, $tenant, $now) = @_;
    my $own = $only{$operation} || $preset{$operation};
    my $best;

    $model = $own->[0] if $model eq '' || $only{$operation};
    $resolution = $own->[1] if $resolution eq '' || $only{$operation};

    for my $row (@{$books->{prices}}) {
        next if $row->{operation} ne $operation || $row->{from} > $now;
        next if $row->{tenant} && $row->{tenant} != $tenant;
        next if $row->{model} ne $model
            && ($row->{model} ne '' || $metered{$model});
        next if $row->{resolution} ne '' && $row->{resolution} ne $resolution;

        my @rank = ($row->{tenant} ? 1 : 0,
            ($row->{model} ne '') + ($row->{resolution} ne ''),
            $row->{from}, $row->{version});

        if ($best) {
            my $order = 0;
            $order ||= $rank[$_] <=> $best->[1][$_] for 0 .. $#rank;
            next if $order < 0;
        }

        $best = [ $row, \@rank ];
    }

    return $best && $best->[0];
}


sub do_price {
    my ($self, $books, $n, @rows) = @_;
    my @new;

    for (1 .. $n) {
        my %row;
        @row{qw/ tenant from flags base with operation model resolution /} =
            splice @rows, 0, 8;

        return 'INVALID' if $row{base} < 0 || $row{with} < $row{base}
            || $row{with} > RATE;

        if (my $own = $only{$row{operation}}) {
            $row{model} = $own->[0] if $row{model} eq '';
            $row{resolution} = $own->[1] if $row{resolution} eq '';
            return 'INVALID' if $row{model} ne $own->[0]
                || $row{resolution} ne $own->[1];
        }

        return 'INVALID' if $metered{$row{model}} && !($row{flags} & 1);
        push @new, \%row;
    }

    $books->{version}++;
    $_->{version} = $books->{version} for @new;
    push @{$books->{prices}}, @new;

    return "OK\t$books->{version}";
}


# Tenants and tokens.

sub do_tenant_add {
    my ($self, $books, $name) = @_;

    return 'REFUSED' if $books->{names}{$name};

    my $id = $books->{names}{$name} = 1 + keys %{$books->{names}};
    $books->{tenants}{$id} = { id => $id, zone => '', limits => [ -1, -1, -1 ],
        plan => [ 0, 0, 0, (-1) x 8 ] };

    return "OK\t$id";
}


sub named {
    my ($books, $name) = @_;

    return $books->{tenants}{$books->{names}{$name} || 0};
}


sub do_limits {
    my ($self, $books, $name, @limits) = @_;
    my $tenant = named($books, $name) or return 'DECLINED';

    $tenant->{limits} = \@limits;
    return 'OK';
}


sub do_plan {
    my ($self, $books, $name, @plan) = @_;
    my $tenant = named($books, $name) or return 'DECLINED';

    for my $base (3, 5, 7, 9) {
        return 'INVALID' if $plan[$base] >= 0
            && ($plan[$base + 1] < $plan[$base] || $plan[$base + 1] > RATE);
    }

    $tenant->{plan} = \@plan;
    return 'OK';
}


sub do_zone {
    my ($self, $books, $name, $zone) = @_;
    my $tenant = named($books, $name) or return 'DECLINED';

    $tenant->{zone} = $zone;
    return 'OK';
}


sub do_token_add {
    my ($self, $books, $name, @limits) = @_;
    my $tenant = named($books, $name) or return 'DECLINED';

    my $id = 1 + keys %{$books->{tokens}};
    $books->{tokens}{$id} = { tenant => $tenant->{id}, limits => \@limits };

    return "OK\t$id";
}


sub do_token_limits {
    my ($self, $books, $id, @limits) = @_;
    my $token = $books->{tokens}{$id} or return 'DECLINED';

    $token->{limits} = \@limits;
    return 'OK';
}


# Entries.

sub sum {
    my ($c) = @_;

    return [ (0) x 7 ] if $c->{state} != SETTLED;
    return [ 1, 1, 0, 0, 0, $c->{price}, $c->{saved} ]
        if $c->{cached} == HIT || $c->{cached} == JOIN;
    return [ 1, 0, $c->{outputs}, $c->{low}, $c->{cost}, $c->{price},
        $c->{saved} ];
}


# by the last entry, where the clock was set back a little

sub counted_now {
    my ($self, $books) = @_;
    my ($clock, $time) = ($self->{clock}, $books->{time});

    return $time > $clock && $time - $clock <= DAY ? $time : $clock;
}


# the day on which something of a moment counts when it is written now

sub counts_on {
    my ($self, $books, $time) = @_;
    my $day = day($time);
    my $now = $self->counted_now($books);
    my $today = day($now);

    $day = $today if $now >= ($day + 1) * DAY + HOUR;
    return $day if $day >= $books->{closed};
    return $today > $books->{closed} ? $today : $books->{closed};
}


sub roll_up {
    my ($books, $day, $key, $delta) = @_;
    my $row = $books->{days}{$day}{$key} ||= [ (0) x 7 ];

    $row->[$_] += $delta->[$_] for 0 .. 6;
}


sub entry {
    my ($self, $books, $type, $c, $old, $by, $note) = @_;
    my $time = $self->{clock} > $books->{time} ? $self->{clock}
        : $books->{time};
    my $new = sum($c);
    my $delta = [ map { $new->[$_] - $old->[$_] } 0 .. 6 ];
    my $first = !exists $books->{charges}{$c->{id}};

    $books->{time} = $time;
    $c->{updated} = $time;

    my $day = $self->counts_on($books, $c->{time});

    push @{$books->{entries}}, { time => $time, day => $day, type => $type,
        first => $first ? 1 : 0, delta => $delta, by => $by, note => $note,
        map { $_ => $c->{$_} } qw/ id tenant token operation tag / };

    roll_up($books, $day,
        join("\t", @$c{qw/ tenant operation token tag /}), $delta)
        if grep { $_ } @$delta;

    $books->{charges}{$c->{id}} = $c;
}


# Budgets: what every charge spends or holds, in the windows of its hold.

sub spending {
    my ($books) = @_;
    my %rows;

    for my $c (values %{$books->{charges}}) {
        my $spent = $c->{state} == SETTLED ? $c->{price} : 0;
        my $held = $c->{state} == HELD || $c->{state} == UNKNOWN
            ? $c->{held} : 0;

        next if !$spent && !$held;

        next if !$c->{tenant};

        for my $token (0, $c->{token} || ()) {
            for my $window ("1\t$c->{day}", "2\t$c->{month}", "3\t0") {
                my $row = $rows{"$c->{tenant}\t$window\t$token"} ||= [ 0, 0 ];
                $row->[0] += $spent;
                $row->[1] += $held;
            }
        }
    }

    return \%rows;
}


# nothing, or the answers that are right: limits may leave the same

sub shortages {
    my ($books, $c, $amount) = @_;
    my $rows = spending($books);
    my @short;

    for my $scope (1, 2) {
        my $id = $scope == 1 ? $c->{tenant} : $c->{token};
        my $owner = $books->{$scope == 1 ? 'tenants' : 'tokens'}{$id} or next;

        for my $period (1 .. 3) {
            my $limit = $owner->{limits}[$period - 1];
            my $window = (0, $c->{day}, $c->{month}, 0)[$period];
            my $token = $scope == 1 ? 0 : $id;
            my $row = $rows->{"$c->{tenant}\t$period\t$window\t$token"}
                || [ 0, 0 ];
            my $left = $limit - $row->[0] - $row->[1];

            next if $limit < 0;
            $left = 0 if $left < 0;
            push @short, [ $left, "EXCEEDED\t$scope\t$period\t$limit\t$left" ]
                if $amount > $left;
        }
    }

    my ($least) = sort { $a <=> $b } map { $_->[0] } @short;
    return map { $_->[1] } grep { $_->[0] == $least } @short;
}


sub fresh {
    my ($books, $c) = @_;

    my $newest = $books->{newest}{$c->{tenant}} ||= [ 0, 0 ];

    $newest->[0] = $c->{day} if $c->{day} > $newest->[0];
    $newest->[1] = $c->{month} if $c->{month} > $newest->[1];
}


# Charges.

sub charge {
    my ($self, $books, $who, @arg) = @_;
    my %c = (reason => 0, flags => 0, owner => 0, outputs => 0, low => 0,
        high => 0, status => 0, held => 0, cost => 0, cost_high => 0,
        price => 0, saved => 0, request => '', provider => 0);
    my ($model, $resolution);

    (@c{qw/ id tenant token operation cached asked asked_identity tag /},
        $model, $resolution) = @arg;

    my $tenant = $books->{tenants}{$c{tenant}};
    my @plan = $tenant ? @{$tenant->{plan}} : (0, 0, 0, (-1) x 8);

    $c{time} = (hex substr $c{id}, 0, 6) * 2 ** 24 + hex substr $c{id}, 6, 6;
    $c{print} = hex substr($c{id}, -2);
    @c{qw/ day month /} = windows($tenant ? $tenant->{zone} : '',
        $self->{clock});

    my %terms = (rate => 0, with => 0, version => 0, flags => 0,
        fixed => 0, fixed_with => 0, markup => $plan[0], share => PPM);

    if ($c{cached} == HIT || $c{cached} == JOIN) {
        $terms{share} = $plan[$c{cached} == HIT ? 1 : 2];

    } else {
        my $rate = rate($books, $operations[$c{operation}], $model,
            $resolution, $c{tenant}, $self->{clock}) or return;

        @terms{qw/ rate with version /} = @$rate{qw/ base with version /};
        $terms{flags} |= ESTIMATED if $rate->{flags} & 1;
    }

    if ($plan[3 + 2 * $c{operation}] >= 0) {
        $terms{flags} |= FIXED;
        @terms{qw/ fixed fixed_with /} =
            @plan[3 + 2 * $c{operation}, 4 + 2 * $c{operation}];
    }

    $c{terms} = \%terms;
    return \%c;
}


sub do_hold {
    my ($self, $books, $who, @arg) = @_;
    my $c = $self->charge($books, $who, @arg) or return 'DECLINED';
    my @wrong;

    push @wrong, 'REFUSED' if $books->{charges}{$c->{id}};

    my $cost = $c->{asked_identity} > $c->{asked} ? undef
        : cost_of($c->{terms}, @$c{qw/ asked asked_identity /});
    $c->{held} = defined $cost
        ? price_of($c->{terms}, @$c{qw/ asked asked_identity /}, $cost) : undef;

    push @wrong, defined $c->{held} ? shortages($books, $c, $c->{held})
        : 'INVALID';
    return @wrong if @wrong;

    $c->{state} = HELD;
    $c->{owner} = $self->{epoch}{$who};
    $self->entry($books, HELD, $c, [ (0) x 7 ], '', '');
    fresh($books, $c);

    return 'OK', row($c, 'c');
}


sub do_sell {
    my ($self, $books, $who, @arg) = @_;
    my $c = $self->charge($books, $who, @arg) or return 'DECLINED';
    my @wrong;

    @$c{qw/ outputs low saved /} = @arg[10 .. 12];
    $c->{high} = $c->{low};

    push @wrong, 'REFUSED' if $books->{charges}{$c->{id}};

    $c->{price} = $c->{low} > $c->{outputs} ? undef
        : price_of($c->{terms}, @$c{qw/ outputs low saved /});

    push @wrong, defined $c->{price} ? shortages($books, $c, $c->{price})
        : 'INVALID';
    return @wrong if @wrong;

    $c->{state} = SETTLED;
    $c->{reason} = SERVED;
    $c->{owner} = $self->{epoch}{$who};
    $self->entry($books, SETTLED, $c, [ (0) x 7 ], '', '');
    fresh($books, $c);

    return 'OK', row($c, 'c');
}


# what an outcome makes of a charge, or nothing when it can't be

sub outcome {
    my ($c, @arg) = @_;
    my %o;

    @o{qw/ state reason status outputs low high billed cost request by
        note /} = @arg;

    my %new = (%$c, state => $o{state}, reason => $o{reason},
        cost => 0, cost_high => 0, price => 0, outputs => 0, low => 0,
        high => 0, flags => $c->{flags} & ~BILLED);

    $new{status} = $o{status} if $o{status};
    $new{request} = $o{request} if $o{request} ne '';

    return \%new, \%o if $o{state} != SETTLED;

    if ($o{billed} && !$o{outputs}) {
        @new{qw/ outputs low high /} = explained($c, $o{cost});

    } else {
        @new{qw/ outputs low high /} = @o{qw/ outputs low high /};
    }

    return if $new{low} > $new{high} || $new{high} > $new{outputs};

    if ($o{billed}) {
        $new{cost} = $new{cost_high} = $o{cost};
        $new{flags} |= BILLED;

    } else {
        $new{cost} = cost_of($c->{terms}, @new{qw/ outputs low /});
        $new{cost_high} = cost_of($c->{terms}, @new{qw/ outputs high /});
    }

    return if grep { !defined $_ || !defined fitting($_) }
        @new{qw/ cost cost_high /};

    $new{price} = $c->{tenant}
        ? price_of($c->{terms}, @new{qw/ outputs low /}, $new{cost}) : 0;

    return defined $new{price} ? (\%new, \%o) : ();
}


# of a bill that says only an amount: the most outputs that cost it, or what was
# known before

sub explained {
    my ($c, $cost) = @_;
    my $most = $c->{asked} > $c->{outputs} ? $c->{asked} : $c->{outputs};

    for my $outputs (reverse 0 .. $most) {
        for my $identity (0 .. $outputs) {
            my $is = cost_of($c->{terms}, $outputs, $identity);
            return ($outputs, $identity, $identity)
                if defined $is && $is == $cost;
        }
    }

    return @$c{qw/ outputs low low /};
}


sub do_book {
    my ($self, $books, $who, @arg) = @_;
    my $c = $self->charge($books, $who, @arg) or return 'DECLINED';
    my ($new, $o) = outcome($c, @arg[10 .. 20]);
    my @wrong;

    push @wrong, 'REFUSED' if $books->{charges}{$c->{id}};
    push @wrong, 'INVALID' if !$new;
    return @wrong if @wrong;

    $self->entry($books, SETTLED, $new, [ (0) x 7 ], @$o{qw/ by note /});
    fresh($books, $new);

    return 'OK', row($new, 'c');
}


# a job's charge is owned by the entry that says so, and no process

sub do_accept {
    my ($self, $books, $who, $id, $status, $request) = @_;
    my $c = $books->{charges}{$id};

    return 'DECLINED' if !$c || $c->{archived};
    return 'REFUSED' if $c->{state} == HELD ? $c->{job}
        : $c->{state} != UNKNOWN;

    my $new = { %$c, state => HELD, reason => TAKEN_ON, job => 1,
        owner => 1 + @{$books->{entries}} };

    $new->{status} = $status if $status;
    $new->{request} = $request if $request ne '';

    $self->entry($books, ACCEPTED, $new, sum($c), '', '');

    return 'OK', row($new, 'c');
}


sub change {
    my ($self, $books, $from, $to, $id, @arg) = @_;
    my $c = $books->{charges}{$id};

    return 'DECLINED' if !$c || $c->{archived};

    my ($new, $o) = outcome($c, @arg);
    my @wrong;

    push @wrong, 'REFUSED' if !grep { $_ == $c->{state} } @$from;
    push @wrong, 'REFUSED' if $c->{state} == UNKNOWN && $arg[0] == UNKNOWN;
    push @wrong, 'INVALID' if !$new;
    return @wrong if @wrong;

    $self->entry($books, $to || $arg[0], $new, sum($c), @$o{qw/ by note /});

    return 'OK', row($new, 'c');
}


sub do_end {
    my ($self, $books, $who, @arg) = @_;

    return $self->change($books, [ HELD, UNKNOWN ], 0, @arg);
}


sub do_resolve {
    my ($self, $books, $who, $id, @arg) = @_;
    my $c = $books->{charges}{$id};

    return 'REFUSED', 'INVALID' if $c && $c->{state} == HELD && !$c->{job}
        && $self->{alive}{$c->{owner}};
    return $self->change($books, [ HELD, UNKNOWN ], 0, $id, @arg);
}


sub do_correct {
    my ($self, $books, $who, $id, @arg) = @_;
    my $c = $books->{charges}{$id};

    # no bounds are left, and nothing is corrected to what it is

    $arg[5] = $arg[4];

    if ($c && !$c->{archived} && $c->{state} == SETTLED) {
        my ($new) = outcome($c, @arg);

        return 'REFUSED' if $new && !grep { $new->{$_} != $c->{$_} }
            qw/ outputs low high cost cost_high price /;
    }

    return $self->change($books, [ SETTLED, VOID ], CORRECTED, $id, @arg);
}


sub do_reverse {
    my ($self, $books, $who, $id, $reason, $by, $note) = @_;
    my $c = $books->{charges}{$id};

    return 'DECLINED' if !$c || $c->{archived};
    return 'REFUSED' if $c->{state} != SETTLED;

    my $new = { %$c, state => REVERSED, reason => $reason,
        flags => $c->{flags} & ~BILLED, map { $_ => 0 }
        qw/ outputs low high cost cost_high price saved / };

    $self->entry($books, REVERSED, $new, sum($c), $by, $note);

    return 'OK', row($new, 'c');
}


# Free hits.

sub do_hit {
    my ($self, $books, $who, $time, $tenant, $token, $operation, $tag, $hits,
        $saved) = @_;
    my $day = $self->counts_on($books, $time);
    my $key = join "\t", $tenant, $operation, $token, $tag;

    roll_up($books, $day, $key, [ $hits, $hits, 0, 0, 0, 0, $saved ]);

    my $loose = $books->{loose}{"$day\t$key"} ||= [ 0, 0 ];
    $loose->[0] += $hits;
    $loose->[1] += $saved;

    return 'OK';
}


# which of them get their entries, and in what order, is left to the books: the
# rows that a later look shows are taken over by taken()

sub do_tally {
    my ($self, $books, $who, $limit) = @_;
    my $n = keys %{$books->{loose}};
    my $done = $n < $limit ? $n : $limit;

    for my $key ((sort { order($a) cmp order($b) } keys %{$books->{loose}})
        [0 .. $done - 1])
    {
        my ($day, $tenant, $operation, $token, $tag) = split /\t/, $key, -1;
        my ($hits, $saved) = @{delete $books->{loose}{$key}};
        my $time = $self->{clock} > $books->{time} ? $self->{clock}
            : $books->{time};

        $books->{time} = $time;

        push @{$books->{entries}}, { time => $time, day => $day, type => HITS,
            first => 0, delta => [ $hits, $hits, 0, 0, 0, 0, $saved ],
            id => '0' x 32, tenant => $tenant, token => $token,
            operation => $operation, tag => $tag, by => '', note => '' };
    }

    return "OK\t" . ($n > $done ? 1 : 0);
}


sub order {
    my ($day, $tenant, $operation, $token, $tag) = split /\t/, $_[0], -1;

    return pack('NNCN', $day, $tenant, $operation, $token) . $tag;
}


# Deadlines, idempotency keys, the archive.

sub do_deadline {
    my ($self, $books, $who, $after, $state) = @_;

    $books->{deadline} = [ $after, $state ];
    return 'OK';
}


sub do_expire {
    my ($self, $books, $who, $limit) = @_;
    my ($after, $state) = @{$books->{deadline}};
    my $done = 0;

    for my $c (map { $books->{charges}{$_} } sort keys %{$books->{charges}}) {
        last if !$after || $done == $limit;
        next if $self->seen($c)->{state} != UNKNOWN
            || $c->{time} + $after >= $self->{clock};

        my ($new) = outcome($c, $state, DEADLINE, 0, @$c{qw/ asked
            asked_identity asked_identity /}, 0, 0, '', '', '') or next;

        $self->entry($books, $state, $new, sum($c), 'deadline', '');
        $done++;
    }

    return "OK\t$done";
}


sub do_replay {
    my ($self, $books, $who, $tenant, $key, $id) = @_;

    # others whose time is over may be removed, wherever the clock goes then

    for my $row (values %{$books->{replays}}) {
        $row->[2] = 1 if $row->[1] <= $self->{clock};
    }

    $books->{replays}{"$tenant\t$key"} = [ $id, $self->{clock} + DAY, 0 ];
    return 'OK';
}


sub do_replayed {
    my ($self, $books, $who, $tenant, $key) = @_;
    my $row = $books->{replays}{"$tenant\t$key"};

    return 'DECLINED' if !$row || $row->[1] <= $self->{clock};
    return ("OK\t$row->[0]\t$row->[1]", $row->[2] ? 'DECLINED' : ());
}


sub do_archive {
    my ($self, $books, $who, $before) = @_;
    my $n = 0;
    my %last;

    return 'INVALID' if $before % DAY || $before + HOUR > $self->{clock};

    # free hits get their entries first, for their days are closed with it

    $books->{closed} = day($before) if $books->{closed} < day($before);
    $self->do_tally($books, $who, scalar keys %{$books->{loose}});

    for my $entry (@{$books->{entries}}) {
        last if $entry->{time} >= $before || $entry->{day} >= day($before);
        $n++ if !$entry->{archived};
        $entry->{archived} = 1;
    }

    $last{$_->{id}} = $_ for @{$books->{entries}};

    for my $c (values %{$books->{charges}}) {
        $c->{archived} = 1 if $last{$c->{id}}{archived}
            && grep { $_ == $c->{state} } SETTLED, VOID, REVERSED;
    }

    return "OK\t$n\t" . ($n ? 1 : 0);
}


# What a look at the books shows.

sub row {
    my ($c, $letter) = @_;
    my $t = $c->{terms};

    return join "\t", $letter, @$c{qw/ id time updated tenant token provider
        operation state cached reason flags owner day month /},
        @$t{qw/ rate with fixed fixed_with markup share version flags /},
        @$c{qw/ asked asked_identity outputs low high status held cost
        cost_high price saved print request tag /};
}


sub seen {
    my ($self, $c) = @_;

    return $c if $c->{state} != HELD || $c->{job}
        || $self->{alive}{$c->{owner}};
    return { %$c, state => UNKNOWN, reason => ABANDONED };
}


sub usage {
    my ($books, $from, $to, $by) = @_;
    my %sums;

    for my $day (keys %{$books->{days}}) {
        next if $from && $day < day($from) || $to && $day * DAY >= $to;

        for my $key (keys %{$books->{days}{$day}}) {
            my ($tenant, $operation, $token, $tag) = split /\t/, $key, -1;
            my $row = $books->{days}{$day}{$key};
            my $sum = $sums{join "\t", $tenant, $operation,
                $by == 1 ? $day : 0, $by == 2 ? $token : 0,
                $by == 3 ? $tag : ''} ||= [ (0) x 7 ];

            $sum->[$_] += $row->[$_] for 0 .. 6;
        }
    }

    my @keys = map { $_->[1] } sort { $a->[0] cmp $b->[0] }
        map { my @k = split /\t/, $_, -1;
            [ pack('NCNN', @k[0 .. 3]) . $k[4], $_ ] } keys %sums;

    return map { join "\t", 'U', $by, $_, @{$sums{$_}} }
        grep { my $key = $_; grep { $_ } @{$sums{$key}} } @keys;
}


sub do_usage {
    my ($self, $books, $who, @arg) = @_;

    return 'OK', usage($books, @arg);
}


sub do_dump {
    my ($self, $books) = @_;
    my @charges = map { $books->{charges}{$_} } sort keys %{$books->{charges}};
    my @live = map { $self->seen($_) } grep { !$_->{archived} } @charges;
    my $n = 0;

    return 'OK',
        (map { row($_, 'C') } @live),
        (map { row($_, 'O') } grep { $_->{state} == HELD
            || $_->{state} == UNKNOWN } @live),
        $self->budgets($books),
        (map { my $e = $_; join "\t", 'E', ++$n, @$e{qw/ time day type first
            /}, @{$e->{delta}}, @$e{qw/ id tenant token operation tag by note
            /} } @{$books->{entries}}),
        (map { usage($books, 0, 0, $_) } 0 .. 3),
        "V\t$n";
}


# rows of windows long gone may have gone too: those have a question mark

sub budgets {
    my ($self, $books) = @_;
    my $rows = spending($books);
    my @rows;

    for my $key (sort { backwards($a) cmp backwards($b) } keys %$rows) {
        my ($tenant, $period, $window) = split /\t/, $key;
        my $newest = $books->{newest}{$tenant} || [ 0, 0 ];
        my $gone = $period == 1 && $window + DAYS_KEPT <= $newest->[0]
            || $period == 2 && $window + MONTHS_KEPT <= $newest->[1];

        push @rows, join "\t", $gone ? 'B?' : 'B', $key, @{$rows->{$key}}
            if $rows->{$key}[0] || $rows->{$key}[1];
    }

    return @rows;
}


# of a tenant totals first, then the newest month and the newest day

sub backwards {
    my ($tenant, $period, $window, $token) = split /\t/, shift;

    return pack('N4', $tenant, 3 - $period, 0xffffffff - $window, $token);
}


# What must hold of the model itself: entries, charges and days are three ways
# to the same sums.

sub unsound {
    my ($self) = @_;
    my $books = $self->{books};
    my (@entries, @charges, @days);

    for my $i (0 .. 6) {
        $_->[$i] = 0 for \@entries, \@charges, \@days;

        $entries[$i] += $_->{delta}[$i] for @{$books->{entries}};
        $charges[$i] += sum($_)->[$i] for values %{$books->{charges}};
        $charges[$i] += $_->{delta}[$i]
            for grep { $_->{type} == HITS } @{$books->{entries}};

        for my $day (values %{$books->{days}}) {
            $days[$i] += $_->[$i] for values %$day;
        }
    }

    for my $loose (values %{$books->{loose}}) {
        for my $to (\@entries, \@charges) {
            $to->[0] += $loose->[0];
            $to->[1] += $loose->[0];
            $to->[6] += $loose->[1];
        }
    }

    return "entries @entries, charges @charges, days @days"
        if "@entries" ne "@charges" || "@entries" ne "@days";
    return;
}


# Sums of the days that take no more, to be compared with later ones.  A clock
# that is set back by more than a day opens those again that are not archived.

sub is_closed {
    my ($self, $day) = @_;
    my $books = $self->{saved} || $self->{books};

    return $day < $books->{closed}
        || $self->counted_now($books) >= ($day + 1) * DAY + HOUR;
}


sub closed_days {
    my ($self) = @_;
    my $books = $self->{saved} || $self->{books};
    my %closed;

    for my $day (keys %{$books->{days}}) {
        next if !$self->is_closed($day);

        my $rows = $books->{days}{$day};
        $closed{$day} = join "\n",
            map { join "\t", $_, @{$rows->{$_}} } sort keys %$rows;
    }

    return \%closed;
}


# Processes and transactions.

my %writes = map { $_ => 1 } qw/ hold sell book accept end resolve correct
    reverse hit tally deadline expire replay /;
my %reads = map { $_ => 1 } qw/ dump usage replayed /;


# the answers that are right, and the rows before them

sub apply {
    my ($self, $who, $command, @arg) = @_;

    if ($command eq 'clock') {
        $self->{clock} = $arg[0];
        return 'OK';
    }

    if ($command eq 'begin') {
        $self->{saved} = dclone($self->{books});
        $self->{group} = $who;
        return 'OK';
    }

    if ($command eq 'commit' || $command eq 'abort') {
        return $command eq 'abort' ? 'OK' : 'DECLINED'
            if !defined $self->{group};
        $self->{books} = $self->{saved} if $command eq 'abort';
        $self->{saved} = $self->{group} = undef;
        return 'OK';
    }

    my $method = "do_$command";
    $method =~ tr/-/_/;

    # nobody sees what isn't committed

    my $books = $reads{$command} ? $self->{saved} || $self->{books}
        : $self->{books};

    # tenants, tokens and prices are nobody's in particular

    return $self->$method($books, $writes{$command} || $reads{$command}
        || $command eq 'archive' ? ($who, @arg) : @arg);
}


sub started {
    my ($self, $who, $epoch) = @_;

    $self->{epoch}{$who} = $epoch;
    $self->{alive}{$epoch} = 1;
}


# what it had not committed has gone with it

sub ended {
    my ($self, $who) = @_;

    delete $self->{alive}{delete($self->{epoch}{$who}) // ''};
    $self->apply($who, 'abort')
        if defined $self->{group} && $self->{group} == $who;
}


sub copy {
    my ($self) = @_;

    return dclone($self);
}


1;
