# Random histories of the books against a model of them: what they answer, and
# after every few steps all that they show, to the micro-dollar.  Clocks go
# back, processes take turns and are killed, disks fill up.
#
#   PHOTA_HISTORIES=N   how many
#   PHOTA_SEED=N        of the first; a failure prints that of its history

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/books";

use Errno qw/ ENOSPC EIO /;
use File::Path qw/ remove_tree /;
use File::Temp qw/ tempdir /;
use IO::Handle;
use IPC::Open2;
use Model;
use Test::More;
use Time::HiRes qw/ time /;

my $driver = $ENV{PHOTA_BOOKS} || 'build/books-driver';
my $first = $ENV{PHOTA_SEED} || 1;
my $total = $ENV{PHOTA_HISTORIES} || 300;

use constant DAY => 86_400_000;

$SIG{PIPE} = 'IGNORE';

my $top = tempdir('phota-books.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %process;
my $runs = 0;
my %count = map { $_ => 0 } qw/ steps looks killed failed /;

my @zones = ('UTC', '+05:30', '-09:30', '+14:00', '+00:00',
    grep { -e "/usr/share/zoneinfo/$_" } 'America/New_York', 'Europe/Berlin',
    'Asia/Kathmandu', 'Australia/Lord_Howe');

# what one kind of history has more of

my %usual = (hold => 10, end => 10, accept => 2, resolve => 3, correct => 6,
    reverse => 2, sell => 4, hit => 3, tally => 2, book => 2, price => 1,
    plan => 1, zone => 0.3, limits => 2, deadline => 1, expire => 2,
    clock => 6, group => 4, restart => 0.5, kill => 0.5, fault => 0.5,
    archive => 0.5, replay => 2, usage => 1, dump => 12, wrong => 1);

my @kinds = (
    [ 'life of charges', {} ],
    [ 'limits', { limits => 8, hold => 20, sell => 10 } ],
    [ 'midnights and month ends', { clock => 25, usage => 5, zone => 2 } ],
    [ 'prices and plans', { price => 8, plan => 8, hold => 15 } ],
    [ 'jobs', { accept => 15, end => 12, kill => 2, restart => 2, resolve => 5,
        expire => 5, deadline => 2, archive => 1 } ],
    [ 'unknown for too long', { deadline => 5, expire => 12 } ],
    [ 'two writers, grouped', { group => 20, dump => 10 } ],
    [ 'killed', { kill => 6, group => 10, resolve => 8, replay => 4 } ],
    [ 'faults at every write', { fault => 15 } ],
    [ 'archived', { archive => 6, clock => 20, kill => 1, fault => 3 } ],
    [ 'free hits', { hit => 20, tally => 8, clock => 10, archive => 2 } ],
);


# Processes.

sub spawn {
    my ($who) = @_;
    my $pid = open2(my $out, my $in, $driver);

    $in->autoflush(0);
    $process{$who} = { pid => $pid, out => $out, in => $in };
}


sub gone {
    my ($who) = @_;
    my $p = delete $process{$who} or return;

    close $p->{in};
    close $p->{out};
    waitpid $p->{pid}, 0;
    return $?;
}


# rows and the answer, which is undef when the process has died

sub ask {
    my ($who, @command) = @_;
    my $p = $process{$who};
    my $out = $p->{out};
    my @rows;

    # a process that waits for ever is as good as dead, and found to be so

    local $SIG{ALRM} = sub { kill 'KILL', $p->{pid} };
    alarm 120;

    print {$p->{in}} join("\t", @command), "\n";
    $p->{in}->flush;

    while (defined(my $line = <$out>)) {
        chomp $line;
        push @rows, $line;
        last if $line =~ /^= /;
    }

    alarm 0;

    return @rows && $rows[-1] =~ /^= (.*)/s ? ($1, @rows[0 .. $#rows - 1])
        : ();
}


# One history.  A step is what is sent to a process, with its name first.

package History {

    sub new {
        my ($class) = @_;
        my $dir = "$top/" . ++$runs;

        mkdir $dir or die "$dir: $!";
        return bless { dir => $dir, model => Model->new, closed => {},
            steps => [] }, $class;
    }


    sub broken {
        my ($self, @text) = @_;

        die { text => join('', @text) };
    }


    sub open {
        my ($self, $who) = @_;

        main::spawn($who) if !$process{$who};
        main::ask($who, 'clock', $self->{model}{clock});

        my ($answer) = main::ask($who, 'open', $self->{dir});

        $self->broken("open: ", $answer // 'died')
            if !defined $answer || $answer !~ /^OK\t(\d+)$/;
        $self->{model}->started($who, $1);
    }


    sub close {
        my ($self) = @_;

        for my $who (grep { $process{$_} } 0, 1) {
            my ($answer) = main::ask($who, 'close');
            main::gone($who) if !defined $answer;
        }

        File::Path::remove_tree($self->{dir});
    }


    # whether a step would wait for ever, or has no sense

    sub blocked {
        my ($self, $who, $command) = @_;
        my $group = $self->{model}{group};

        return 0 if $command eq 'clock';
        return defined $group && $group != $who
            if $command =~ /^(kill|restart)$/;
        return $command eq 'commit' || $command eq 'abort'
            if !defined $group;
        return $command !~ /^(dump|usage|replayed)$/ if $group != $who;
        return $command !~ /^(hold|sell|book|accept|end|resolve|correct
            |reverse|hit|tally|deadline|expire|replay|commit|abort|fault)$/x;
    }


    sub step {
        my ($self, $who, $command, @arg) = @_;
        my $model = $self->{model};

        return if $self->blocked($who, $command)
            || $command eq 'fault' && $self->blocked($who, $arg[2]);

        push @{$self->{steps}}, [ $who, $command, @arg ];
        $count{steps}++;

        return $self->look($who) if $command eq 'dump';

        if ($command eq 'clock') {
            main::ask($_, 'clock', @arg) for 0, 1;
            $model->apply($who, 'clock', @arg);
            delete @{$self->{closed}}{grep { !$model->is_closed($_) }
                keys %{$self->{closed}}};
            return;
        }

        return $self->restart($who) if $command eq 'restart';
        return $self->killed($who) if $command eq 'kill';
        return $self->fault($who, @arg) if $command eq 'fault';

        my @expected = $model->apply($who, $command, @arg);
        my ($answer, @rows) = main::ask($who, $command, @arg);

        $self->compare($command, \@expected, $answer, \@rows);
    }


    # all that the books show

    sub look {
        my ($self, $who) = @_;
        my @expected = $self->{model}->apply($who //= 0, 'dump');

        $count{looks}++;
        my ($answer, @rows) = main::ask($who, 'dump');

        $self->compare('dump', \@expected, $answer, \@rows);
        $self->remember;
    }


    sub restart {
        my ($self, $who) = @_;
        my ($answer) = main::ask($who, 'close');

        $self->broken('close: died') if !defined $answer;
        $self->{model}->ended($who);
        $self->open($who);
    }


    sub killed {
        my ($self, $who) = @_;

        $count{killed}++;
        kill 'KILL', $process{$who}{pid};
        main::gone($who);
        $self->{model}->ended($who);
        $self->open($who);
    }


    # Dead or failed in the middle: everything of the transaction or nothing.

    sub fault {
        my ($self, $who, $n, $errno, $command, @arg) = @_;
        my $model = $self->{model};
        my $before = $model->copy;

        $before->{books} = $before->{saved} if $before->{saved};
        $before->{saved} = $before->{group} = undef;

        my @expected = $model->apply($who, $command, @arg);

        main::ask($who, 'fault', $n, $errno);

        my ($answer, @rows) = main::ask($who, $command, @arg);

        return $self->compare($command, \@expected, $answer, \@rows)
            if defined $answer && $answer !~ /^ERROR/;

        $self->broken("$command: ", $answer // 'died')
            if defined $answer ? !$errno : $errno;

        $count{defined $answer ? 'failed' : 'killed'}++;

        if (defined $answer) {
            main::ask($who, 'close');

        } else {
            main::gone($who);
        }

        $_->ended($who) for $before, $model;
        $self->open($who);
        $before->started($who, $model->{epoch}{$who});

        my ($state, @seen) = main::ask($who, 'dump');
        my @replays = sort keys %{$model->{books}{replays}};
        my @wrong;

        for my $m ($model, $before) {
            my @right = $m->apply($who, 'dump');
            my $wrong;

            if ($command eq 'archive') {
                s/^C\t/C?\t/ for @right;
                $_->{archived} = 0 for values %{$m->{books}{charges}};
                @right = map { s/^C\t/C?\t/r } $m->apply($who, 'dump');
            }

            $wrong = main::differs(\@right, $state, \@seen);

            for my $key (@replays) {
                my @key = split /\t/, $key;
                my @right = $m->apply($who, 'replayed', @key);
                my ($is) = main::ask($who, 'replayed', @key);
                $wrong ||= main::differs(\@right, $is, []);
            }

            if (!$wrong) {
                $self->{model} = $m;
                return $command eq 'archive'
                    ? $self->archive_again($who, $before, @arg) : undef;
            }

            push @wrong, $wrong;
        }

        $self->broken("$command after fault $n, neither done nor undone:\n",
            join "\n", @wrong);
    }


    # once begun again it comes to its end, whatever was moved before

    sub archive_again {
        my ($self, $who, $before, @arg) = @_;

        $self->{model} = $before;

        my ($right) = $before->apply($who, 'archive', @arg);
        my ($answer) = main::ask($who, 'archive', @arg);

        $right =~ s/\t.*//;
        $answer =~ s/\t.*// if defined $answer;
        $self->compare('archive', [ $right ], $answer, []);
    }


    sub compare {
        my ($self, $command, $expected, $answer, $rows) = @_;
        my $wrong = main::differs($expected, $answer, $rows);

        $self->broken("$command: $wrong") if defined $wrong;
    }


    # days that have closed stay as they are

    sub remember {
        my ($self) = @_;
        my $model = $self->{model};
        my $wrong = $model->unsound;
        my $closed = $model->closed_days;

        $self->broken("model: $wrong") if $wrong;

        for my $day (keys %{$self->{closed}}) {
            $self->broken("day $day changed after it was closed")
                if defined $closed->{$day}
                && $closed->{$day} ne $self->{closed}{$day};
        }

        $self->{closed} = $closed;
    }
}


# how they differ.  What is expected: answers, any of them, and rows; those with
# a question mark may be missing.

sub differs {
    my ($expected, $answer, $rows) = @_;
    my @right = grep { /^[A-Z]{2}/ } @$expected;
    my @rows = grep { !/^[A-Z]{2}/ } @$expected;
    my $text = '';

    return "died, expected " . join ' or ', @right if !defined $answer;

    my ($is, $why) = split /\t# /, $answer, 2;

    for my $row (@$rows) {
        shift @rows while @rows && $rows[0] =~ /^.\?/
            && $rows[0] =~ s/\?//r ne $row;

        my $want = shift(@rows) // '(nothing)';
        $want =~ s/^(.)\?/$1/;

        return "\n  expected " . readable($want) . "\n  but got  "
            . readable($row, $want) . ($why ? "\n  $why" : '')
            if $want ne $row;
    }

    return "$is" . ($why ? " ($why)" : '') . ", expected "
        . join ' or ', @right if !grep { $_ eq $is } @right;

    @rows = grep { !/^.\?/ } @rows;
    return "\n  expected " . readable($rows[0]) . "\n  but got nothing"
        if @rows;
    return;
}


my %columns = (
    C => 'id time updated tenant token provider operation state cached reason
        flags owner day month rate identity_rate fixed fixed_identity markup
        share version terms asked asked_identity outputs low high status held
        cost cost_high price saved fingerprint request tag',
    E => 'sequence time day type first calls hits outputs identity cost price
        saved id tenant token operation tag by note',
    U => 'by tenant operation day token tag calls hits outputs identity cost
        price saved',
    B => 'scope id period window spent held',
    V => 'entries',
);


sub readable {
    my ($row, $other) = @_;
    my ($letter, @fields) = split /\t/, $row, -1;
    my @others = defined $other ? split /\t/, $other, -1 : ();
    my @names = split ' ', $columns{$letter =~ /[cO]/ ? 'C' : $letter} // '';

    return $row if !@names;
    return join ' ', $letter, map { $names[$_] . '=' . $fields[$_]
        . (@others && ($others[$_ + 1] // '') ne $fields[$_] ? ' <---' : '') }
        0 .. $#fields;
}


# What comes next: steps, chosen by what there is.

sub pick { return $_[rand @_] }

sub chance { return rand() < $_[0] }

sub whole { return int rand $_[0] }


my $number;
my @amounts = (0, 1, 3, 7, 33_333, 120_000, 150_000, 999_999, 2_900_000);


sub amount { return chance(0.03) ? 1_000_000_000_000 : pick(@amounts) }


sub names { return sort keys %{$_[0]{books}{names}} }

sub tokens { return sort { $a <=> $b } keys %{$_[0]{books}{tokens}} }


sub limit { return chance(0.5) ? -1 : whole(12) * pick(1, 120_000, 150_000) }


sub new_id {
    my ($model) = @_;
    my $ms = $model->{clock};

    $ms -= whole(pick(10, 5_000, 4_000_000)) if chance(0.2);
    $ms += whole(5_000) if chance(0.05);
    return sprintf '%012x%020x', $ms, ++$number;
}


sub tag { return pick('', '', 'a', 'b', 'autumn sale') }


# an id of such a state, or of any

sub known {
    my ($model, @states) = @_;
    my $charges = $model->{books}{charges};
    my @ids = sort keys %$charges;

    return 'f' x 32 if !@ids || chance(0.01);

    if (chance(0.9)) {
        my %state = map { $_ => 1 } @states;
        my @fit = grep { $state{$charges->{$_}{state}} } @ids;
        return pick(@fit) if @fit;
    }

    return pick(@ids);
}


sub delivered {
    my ($state) = @_;
    my $outputs = $state == Model::SETTLED ? whole(6) : 0;
    my $high = whole($outputs + 1);
    my $low = whole($high + 1);

    ($low, $high) = (1, 0) if $state == Model::SETTLED && chance(0.01);
    return ($outputs, $low, $high);
}


sub ending {
    my ($state, $billed, $by, $c) = @_;

    $billed = 0 if $c && $c->{asked} > 4;

    return ($state, 1 + whole(14), pick(0, 200, 500, 503), delivered($state),
        $billed && $state == Model::SETTLED ? (1, amount() * whole(5)) : (0, 0),
        pick('', 'req-' . whole(1000)), $by,
        $by eq '' ? '' : pick('', 'by the bill', 'a call to support'));
}


sub purchase {
    my ($model, @cached) = @_;
    my ($token) = pick(tokens($model));
    my $asked = chance(0.01) ? 4_000_000_000 : 1 + whole(4);
    my $operation = pick(0, 0, 1, 2, 3);

    return (new_id($model), $model->{books}{tokens}{$token}{tenant}, $token,
        $operation, pick(@cached), $asked, whole($asked > 4 ? 5 : $asked + 1),
        tag(), $operation < 2 ? ('', '') : (pick('', 'nb2', 'pro',
        'gpt-image-2'), pick('', '1K', '4K')));
}


# rows that leave open which of them is meant are none that can be tested

sub price_row {
    my ($model) = @_;
    my $operation = pick(@Model::operations);
    my $base = amount();
    my $name = pick('', 'nb2', 'pro', 'gpt-image-2');
    my $from = $model->{clock} + pick(-DAY, 0, 1, 60_000, DAY)
        + pick(0, whole(DAY));

    ($name) = pick('', 'nb2') if $operation =~ /remix|enhance/;

    return (chance(0.3) ? 1 + whole(2) : 0, $from,
        $name eq 'gpt-image-2' ? !chance(0.1) + 0 : whole(2), $base,
        $base + (chance(0.03) ? -1 : pick(0, 1, 30_000)), $operation, $name,
        $name eq '' || $operation =~ /remix|enhance/ ? '' : pick('', '4K'));
}


sub clock_step {
    my ($model) = @_;
    my $now = $model->{clock};
    my $midnight = $now - $now % DAY + DAY;
    my $kind = whole(12);

    return $now + whole(60_000) if $kind < 3;
    return $midnight + pick(-1, 0, 1, whole(10_000)) if $kind == 3;
    return $midnight + 3_600_000 + pick(-1, 0, 1, 5) if $kind == 4;
    return $now + whole(DAY) if $kind == 5;
    return $now + whole(4 * DAY) if $kind == 6;
    return $midnight - DAY - 1 - whole(5_000) if $kind == 7;
    return $now - whole(60_000) if $kind == 8;
    return $now - whole(DAY) if $kind == 9;
    return month_end($now) + pick(-1, 0, 1, -whole(50_000_000),
        whole(50_000_000)) if $kind == 10;
    return $now + whole(45) * DAY if chance(0.1);
    return $now + 1;
}


sub month_end {
    my (@t) = gmtime int($_[0] / 1000);

    return Time::Local::timegm(0, 0, 0, 1, $t[4] == 11 ? (0, $t[5] + 1)
        : ($t[4] + 1, $t[5])) * 1000;
}


my %next = (
    hold => sub { [ 'hold', purchase($_[0], 1, 1, 4) ] },

    end => sub {
        my $state = pick(2, 2, 2, 3, 4);
        [ 'end', known($_[0], 1, 1, 4), ending($state, 0, '') ];
    },

    accept => sub {
        [ 'accept', known($_[0], 1, 1, 4), pick(0, 202), pick('',
            'req-' . whole(1000)) ];
    },

    resolve => sub {
        my $id = known($_[0], 1, 4);
        [ 'resolve', $id, ending(pick(2, 3, 4), chance(0.3), 'anna',
            $_[0]{books}{charges}{$id}) ];
    },

    correct => sub {
        my @bought = grep { my $c = $_[0]{books}{charges}{$_};
            !$c || $c->{cached} == 1 || $c->{cached} == 4 }
            map { known($_[0], 2, 3) } 1 .. 4;
        @bought ? [ 'correct', $bought[0], ending(2, chance(0.6), 'bill',
            $_[0]{books}{charges}{$bought[0]}) ] : ();
    },

    reverse => sub {
        [ 'reverse', known($_[0], 2), 13, 'anna', pick('', 'a duplicate') ];
    },

    sell => sub {
        my @arg = purchase($_[0], 2, 3);
        my $outputs = 1 + whole(4);
        [ 'sell', @arg, $outputs, whole($outputs + 1), amount() * whole(4) ];
    },

    book => sub {
        my @arg = purchase($_[0], 1);
        my @outcome = ending(2, 1, 'bill');
        @outcome[6, 7] = (1, amount() * whole(4));
        @arg[1, 2, 5, 6] = (chance(0.3) ? 0 : $arg[1], 0, 0, 0);
        [ 'book', @arg, @outcome ];
    },

    hit => sub {
        my $token = pick(tokens($_[0]));
        my $time = $_[0]{clock} - (chance(0.3) ? whole(pick(1000, 4_000_000,
            DAY)) : 0);
        [ 'hit', $time, $_[0]{books}{tokens}{$token}{tenant}, $token,
            whole(4), tag(), 1 + whole(3), amount() ];
    },

    tally => sub { [ 'tally', pick(1, 2, 100) ] },

    price => sub {
        my $n = 1 + whole(4);
        [ 'price', $n, map { price_row($_[0]) } 1 .. $n ];
    },

    plan => sub {
        [ 'plan', pick(names($_[0])), pick(-1_000_000, -25_000, 0, 1, 200_000,
            333_333, 100_000_000), pick(0, 1, 333_333, 500_000, 1_000_000),
            pick(0, 1, 100_000, 1_000_000),
            map { my $base = amount(); chance(0.7) ? (-1, -1)
                : ($base, $base + pick(0, 5)) } 1 .. 4 ];
    },

    zone => sub { [ 'zone', pick(names($_[0])), pick(@zones) ] },

    limits => sub {
        my @limits = (limit(), limit(), limit());
        chance(0.5) ? [ 'limits', pick(names($_[0])), @limits ]
            : [ 'token-limits', pick(tokens($_[0])), @limits ];
    },

    deadline => sub {
        [ 'deadline', pick(0, 1, 60_000, 3_600_000, DAY), pick(2, 3) ];
    },

    # often at the very moment, or just before or after

    expire => sub {
        my $c = $_[0]{books}{charges}{known($_[0], 1, 4, 4)};
        my $after = $_[0]{books}{deadline}[0];
        my $expire = [ 'expire', pick(1, 2, 100) ];
        return $expire if !$c || !$after || chance(0.5);
        return ([ 'clock', $c->{time} + $after + pick(0, 1) ], $expire);
    },

    clock => sub { [ 'clock', clock_step($_[0]) ] },
    restart => sub { [ 'restart' ] },
    kill => sub { [ 'kill' ] },
    dump => sub { [ 'dump' ] },

    replay => sub {
        my $rows = $_[0]{books}{replays};
        my ($old) = pick(sort keys %$rows);
        my @key = defined $old && chance(0.8) ? split(/\t/, $old)
            : (1 + whole(2), 'key ' . whole(3));
        my $row = $rows->{join "\t", @key};
        return [ 'replay', @key, known($_[0], 1, 2) ] if !$row || chance(0.3);
        return ((chance(0.5) ? [ 'clock', $row->[1] - pick(0, 1) ] : ()),
            [ 'replayed', @key ]);
    },

    usage => sub {
        my $day = $_[0]{clock} - $_[0]{clock} % DAY;
        [ 'usage', pick(0, $day - DAY, $day), pick(0, $day, $day + DAY),
            whole(4) ];
    },

    archive => sub {
        my $midnight = $_[0]{clock} - $_[0]{clock} % DAY;
        my @days = sort keys %{$_[0]{books}{days}};
        my $before = chance(0.2) ? pick($midnight + DAY, $midnight - DAY - 1)
            : chance(0.4) || !@days ? $midnight - whole(3) * DAY
            : (pick(@days) + pick(1, 2)) * DAY;
        my $at = $before + 3_600_000;
        $at > $_[0]{clock} && $at <= $_[0]{books}{time} ? ()
            : [ 'archive', $before ];
    },

    # an id again, but not of what is archived: nobody knows of those any more

    wrong => sub {
        my $again = known($_[0], 1 .. 5);
        my $c = $_[0]{books}{charges}{$again};
        return if !$c || $c->{archived};
        my @arg = purchase($_[0], 1);
        chance(0.5) ? [ 'hold', $again, @arg[1 .. 9] ]
            : [ 'hold', @arg[0 .. 5], $arg[5] + 1, @arg[7 .. 9] ];
    },
);

my @writes = qw/ hold hold end end accept resolve correct reverse sell book
    hit tally expire /;


# a history in itself: to be done by one process, nothing between

sub group {
    my ($model, $who) = @_;
    my @steps = [ $who, 'begin' ];

    return (@steps, map { my $name = pick(@writes);
        sub { map { [ $who, @$_ ] } $next{$name}->($_[0]) } } 0 .. whole(6),
        (sub { chance(0.3) ? [ !$who + 0, 'dump' ] : () }),
        sub { [ $who, chance(0.1) ? 'abort' : chance(0.1) ? 'kill'
            : chance(0.1) ? fault('commit') : 'commit' ] });
}


sub fault {
    return ('fault', 1 + whole(pick(3, 12)), pick(0, 0, ENOSPC, EIO), @_);
}


sub prelude {
    my ($model) = @_;
    my @steps = map { [ 0, 'tenant-add', $_ ] } qw/ acme globex /;

    push @steps, [ 0, 'token-add', $_, -1, -1, -1 ]
        for qw/ acme acme globex /;
    push @steps, map { [ 0, 'price', 1, 0, 0, 0, 120_000, 150_000, $_, '',
        '' ] } @Model::operations;
    push @steps, [ 0, 'zone', 'acme', pick(@zones) ];

    return (@steps, map { my $name = $_;
        sub { [ 0, @{$next{$name}->($_[0])} ] } } qw/ plan plan limits /);
}


sub history {
    my ($weights) = @_;
    my $history = History->new;
    my %weight = (%usual, %$weights);
    my @names = sort keys %weight;
    my $sum = 0;

    $sum += $_ for values %weight;
    $number = 0;

    # 2026, a leap day, a change to summer time, the end of a year

    my $clock = 1000 * pick(1_774_742_400, 1_792_890_000, 1_830_211_200,
        1_798_761_600, 1_767_225_600 + whole(40_000_000)) - whole(4_000_000);

    my $done = eval {
        $history->{model}{clock} = $clock;
        $history->open($_) for 0, 1;

        my @queue = prelude($history->{model});
        my $left = 10 + whole(70);

        while (@queue || $left-- > 0) {
            if (!@queue) {
                my $at = rand $sum;
                my ($name) = grep { ($at -= $weight{$_}) < 0 } @names;
                my $who = whole(2);

                if ($name eq 'group') {
                    push @queue, group($history->{model}, $who);

                } elsif ($name eq 'fault') {
                    my @last = $next{pick(@writes, 'archive', 'archive')}
                        ->($history->{model});
                    push @queue, map { [ $who, fault(@$_) ] } $last[-1]
                        if @last;

                } else {
                    push @queue, map { [ $who, @$_ ] }
                        $next{$name}->($history->{model});
                }

                next;
            }

            my $step = shift @queue;

            if (ref $step eq 'CODE') {
                unshift @queue, $step->($history->{model});
                next;
            }

            $history->step(@$step);
        }

        $history->step($_ % 2, @{(['restart'], ['dump'])[$_ / 2]}) for 0 .. 3;
        1;
    };

    return finished($history, $clock, $done, $@);
}


sub finished {
    my ($history, $start, $done, $why) = @_;

    if ($done) {
        $history->close;
        return;
    }

    die $why if !ref $why;

    gone($_) for map { kill('KILL', $process{$_}{pid}); $_ } keys %process;
    remove_tree($history->{dir});

    return { text => $why->{text}, start => $start,
        steps => $history->{steps} };
}


# the same steps once more, less some, and a look after each

sub again {
    my ($start, @steps) = @_;
    my $history = History->new;

    my $done = eval {
        $history->{model}{clock} = $start;
        $history->open($_) for 0, 1;

        for my $step (@steps) {
            $history->step(@$step);
            $history->look if !defined $history->{model}{group};
        }
        1;
    };

    return finished($history, $start, $done, $@);
}


sub shrink {
    my ($failure, $clock) = @_;
    my $until = time() + 20;
    my $best = again($clock, @{$failure->{steps}}) || return $failure;
    my ($kind) = $best->{text} =~ /^([^:]*:)/;
    my $size = @{$best->{steps}} / 2;

    while ($size >= 1 && time() < $until) {
        my $at = 0;
        my $smaller = 0;

        while ($at < @{$best->{steps}} && time() < $until) {
            my @steps = @{$best->{steps}};
            splice @steps, $at, $size;
            my $less = again($clock, @steps);

            if ($less && @{$less->{steps}} < @{$best->{steps}}
                && $less->{text} =~ /^\Q$kind/)
            {
                $best = $less;
                $smaller = 1;

            } else {
                $at += $size;
            }
        }

        $size = int($size / 2) if !$smaller || $size > 1;
    }

    return $best;
}


my ($done, $started) = (0, time());
my $each = int(($total + $#kinds) / @kinds);

for my $k (0 .. $#kinds) {
    my ($name, $weights) = @{$kinds[$k]};
    my $failure;

    for my $i (0 .. $each - 1) {
        my $seed = $first + $i * @kinds + $k;
        my $kind = $kinds[$seed % @kinds];

        $name = $kind->[0];
        srand $seed;
        $failure = history($kind->[1]);
        $done++;

        if ($failure) {
            my $steps = @{$failure->{steps}};

            diag "PHOTA_SEED=$seed PHOTA_HISTORIES=1: ", $failure->{text};
            $failure = shrink($failure, $failure->{start});
            diag "$steps steps, here are ", scalar @{$failure->{steps}}, ":";
            diag "clock $failure->{start}";
            diag join ' ', map { $_ eq '' ? "''" : $_ } @$_
                for @{$failure->{steps}};
            diag $failure->{text};
            last;
        }

        last if $total == 1;
    }

    ok(!$failure, $name);
    last if $total == 1;
}

note sprintf '%d histories in %.1f s: %d steps, %d looks, killed %d times, '
    . '%d failed writes', $done, time() - $started,
    @count{qw/ steps looks killed failed /};

gone($_) for keys %process;
done_testing();
