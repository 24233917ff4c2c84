package Phota::Fail;

# Orders for t/io/fail.c: which of the writes below some directories fail, and
# how.  new() makes the file of orders; env() is for the process that is to be
# failed; arm(), clear() and the counts work at any time.

use strict;
use warnings;

use Errno ();
use Phota::Gateway;

my %error = (EIO => Errno::EIO(), ENOSPC => Errno::ENOSPC());
my %how = (refuse => 0, short => 1, late => 2, kill => 3);

my ($dirs, $path, $trace) = (4, 232, 3072);
my $head = 9 * 4;
my $always = 0xffffffff;

# file: where the orders go; under: a list of names and directories

sub new {
    my ($class, $file, @under) = @_;

    my $self = bless { file => $file, bit => {} }, $class;
    my $text = '';

    while (my ($name, $dir) = splice(@under, 0, 2)) {
        die "$dir: too long\n" if length $dir >= $path;
        $self->{bit}{$name} = 1 << keys %{$self->{bit}};
        $text .= pack("a$path", $dir);
    }

    open(my $fh, '+>:raw', $file) or die "$file: $!\n";
    syswrite($fh, pack('L9', (0) x 9)
        . pack('a' . $dirs * $path, $text) . "\0" x $trace);
    chmod 0666, $file;
    $self->{fh} = $fh;

    return $self;
}

sub env {
    my ($self) = @_;

    my @asan = $ENV{ASAN_OPTIONS} ? (ASAN_OPTIONS =>
        "$ENV{ASAN_OPTIONS}:verify_asan_link_order=0") : ();

    return { PHOTA_FAIL => $self->{file}, LD_PRELOAD => join(':',
        grep { defined && length } $ENV{LD_PRELOAD},
        Phota::Gateway::program('fail')), @asan };
}

# in: names (default: all); at: the first call that fails, from 1; to: the last
# one, or 'always' (default: only that one); error: EIO or ENOSPC; how: refuse,
# short, late, kill.  at => 0 only counts.  Counts begin anew

sub arm {
    my ($self, %o) = @_;

    my $mask = 0;
    my $at = $o{at} // 1;
    my $to = $o{to} // $at;

    $mask |= $self->{bit}{$_} for @{$o{in} || [ keys %{$self->{bit}} ]};
    ($at, $to) = ($always, 0) if !$at;

    $self->_write(0, pack('L', 0));
    $self->_write($head + $dirs * $path, "\0" x $trace);
    $self->_write(4, pack('L6', $at, $to eq 'always' ? $always : $to,
        $error{$o{error} || 'EIO'}, $how{$o{how} || 'refuse'}, 0, 0));
    $self->_write(0, pack('L', $mask));
}

sub clear {
    my ($self) = @_;

    $self->_write(0, pack('L', 0));
}

# the module's clock goes so many seconds fast; it never goes back

sub clock {
    my ($self, $seconds) = @_;

    $self->_write(28, pack('L', $seconds));
}

# from now on a thread takes so many milliseconds to end

sub linger {
    my ($self, $ms) = @_;

    $self->_write(32, pack('L', $ms));
}

sub calls { $_[0]->_number(5) }
sub failed { $_[0]->_number(6) }

# a letter for each call: w p v written, s synced, t resized, o made, n renamed;
# in capital when it failed

sub trace {
    my ($self) = @_;

    my $text = $self->_read($head + $dirs * $path, $trace);
    $text =~ s/\0.*//s;

    return $text;
}

sub _number {
    my ($self, $index) = @_;

    return unpack('L', $self->_read(4 * $index, 4));
}

sub _read {
    my ($self, $at, $size) = @_;

    sysseek($self->{fh}, $at, 0);
    sysread($self->{fh}, my $text, $size);

    return $text;
}

sub _write {
    my ($self, $at, $text) = @_;

    sysseek($self->{fh}, $at, 0);
    syswrite($self->{fh}, $text) == length $text
        or die "$self->{file}: $!\n";
}

1;
