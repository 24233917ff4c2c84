# What the upstream doesn't document can be read in several ways, and jobs are
# followed in each of them: they end settled, the books equal the bill, and the
# tenant gets pictures under names that are his.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ 'acme' ], workers => 2,
    job_poll => '1h', profiles => { acme => [ 'prof_anna' ] });
my $acme = $t->token('acme');

my %small = (input => noise(300, 1), reference => noise(300, 2),
    profile_ids => [ 'prof_anna' ]);
my $serial = 0;

my %usual = (size => 'tiny', job_shape => 'nested', job_words =>
    { map { $_ => $_ } qw/ queued in_progress completed failed / },
    job_names => { map { $_ => $_ } qw/ job_id status result / },
    job_error => 'object', job_result => 'urls',
    job_subjects => JSON::PP::true(), job_echo => JSON::PP::true(),
    job_pending => 200, poll_url => 'absolute');

# a job under these settings, polled once while it is open

sub run_job {
    my ($settings, $order) = @_;

    my %names = %{$settings->{job_names} || {}};

    $t->sim->config(%usual);
    $t->sim->config(%$settings) if %$settings;

    my $job = $t->submit('remix', $acme, { %small, num_output_images => 2,
        prompt => 'reading ' . ++$serial,
        client_request_id => "c $serial" },
        job => Phota::Sim::HELD . "; $order");
    my ($up) = grep { !$_->{ended} } reverse $t->sim->jobs;
    my $open = $t->poll($acme, $job->json->{job_id} // 'none');

    $t->sim->end_jobs;

    my $ended;

    # polled until the books know of it, whatever word says so

    wait_for(sub {
        $ended = $t->poll($acme, $job->json->{job_id} // 'none');
        ($t->charge($job) || {})->{state} ne 'held';
    }, 10);

    return { job => $job, open => $open, end => $ended, up => $up,
        name => $names{job_id} || 'job_id' };
}

# the first object within others that has a member

sub find {
    my ($json, $name) = @_;

    return if ref $json ne 'HASH';
    return $json if exists $json->{$name};

    for my $member (sort keys %$json) {
        my $found = find($json->{$member}, $name);
        return $found if $found;
    }

    return;
}

# what is wrong with it, for a job that ends with pictures

sub wrong {
    my ($x, $identity) = @_;

    my $charge = $t->charge($x->{job}) || {};
    my $id = $x->{job}->json->{job_id} // '';
    my @wrong;

    push @wrong, 'the submit: ' . $x->{job}->summary
        if $x->{job}->status != 202 || $id !~ /^job_[0-9A-Z]{26}$/;
    push @wrong, 'the first poll: ' . $x->{open}->summary
        if $x->{open}->status !~ /^20[02]$/;
    push @wrong, 'the charge: ' . JSON::PP::encode_json($charge)
        if "$charge->{state} $charge->{outputs} $charge->{identity_outputs}"
            ne "settled 2 $identity";

    my @pictures = shown($x->{end});

    push @wrong, 'the pictures: ' . $x->{end}->summary
        if grep({ !/phota-sim/ } @pictures) || @pictures != 2;

    for my $answer (@$x{qw/ job open end /}) {
        my $named = find($answer->json, $x->{name}) || {};

        push @wrong, "its name: $named->{$x->{name}}"
            if $answer != $x->{job} && ($named->{$x->{name}} // '') ne $id;
        push @wrong, 'the upstream\'s names: ' . $answer->body
            if $answer->bytes =~ /\Q$x->{up}{job_id}\E
                |\Q$x->{up}{client_request_id}\E/x;
    }

    return @wrong;
}

# of ours once they are stored, of any job

sub is_stored {
    my ($x) = @_;

    wait_for(sub { row($x)->{stored} }, 10)
        or return 'not stored: ' . JSON::PP::encode_json(row($x));

    my $answer = $t->poll($acme, $x->{job});

    return 'a link of the upstream\'s: ' . $answer->body
        if grep { /^http/ && !m{/phota/results/} }
            map { @$_ } values %{lists($answer)};

    return 'the stored pictures: ' . $answer->body
        if 2 != grep { /phota-sim/ } shown($answer);

    return;
}

sub row {
    my ($x) = @_;

    my ($row) = grep { $_->{job_id} eq $x->{job}->json->{job_id} }
        map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('job', 'list', '--json');

    return $row || {};
}

# links may stand in either list, and be the upstream's until it is stored

sub shown {
    my ($answer) = @_;

    my $text = lists($answer);
    my @links = grep { /^http/ } map { @$_ } values %$text;

    return pictures($t, $answer) if !@links;

    return map {
        my ($path) = m{^http://[^/]+(/.*)};
        m{/phota/results/} ? fetch($t, $_)->body
            : $t->sim->request('GET', $path)->{body};
    } @links;
}

sub reading {
    my ($name, $settings, %o) = @_;

    my $x = run_job($settings, '');

    if (!$x->{job}->json->{job_id}) {
        fail($name);
        diag($x->{job}->summary);
        return $x;
    }

    my @wrong = (wrong($x, $o{identity} // 2), is_stored($x));

    # and the next one like it is a hit

    my $again = $t->submit('remix', $acme, { %small,
        prompt => "reading $serial", num_output_images => 2 });

    push @wrong, 'its repeat: ' . $again->summary
        if ($again->header('Cache-Status') // '') !~ /; hit/;

    ok(!@wrong, $name) or diag(join("\n", @wrong));

    return $x;
}


# --- where the result lies, under what names and words

for my $shape (qw/ nested flat data job /) {
    reading("job_shape $shape", { job_shape => $shape });
    reading("job_shape $shape, bytes", { job_shape => $shape,
        job_result => 'bytes' });
}


for my $word (qw/ succeeded done COMPLETE Successful /) {
    reading("the word $word", { job_words => { completed => $word } });
}

reading('words of going on', { job_words => { queued => 'PENDING',
    in_progress => 'being thought about' } });

reading("$_ for what it is of", { job_names => { result => $_ } })
    for qw/ output response data /;

reading('other names', { job_shape => $_, job_names => { job_id => 'id',
    status => 'state', result => 'output' } }) for qw/ nested data /;


# --- pictures

reading('links stand in images', { job_result => 'images' });
reading('links stand in images of a flat one', { job_result => 'images',
    job_shape => 'flat' });
reading('bytes come, more than is kept of a job', { job_result => 'bytes',
    size => 'medium' });

# the books keep what is said of a job, but no picture of it

{
    my $x = reading('bytes come, few of them', { job_result => 'bytes' });
    my $books = Phota::Gateway::slurp($t->gateway->data . '/books/data.mdb');
    my @base64 = map { @$_ }
        values %{lists($t->poll($acme, $x->{job}))};

    is(scalar @base64, 2, 'which are told again');
    is(scalar(grep { index($books, substr($_, 40, 200)) >= 0 } @base64), 0,
        'and lie in the cache alone');
}

reading('nobody is told of', { job_subjects => JSON::PP::false() },
    identity => 0);


# --- names, and where to poll

reading("poll_url $_", { poll_url => $_ }) for qw/ path none /;
reading('no client_request_id comes back', { job_echo => JSON::PP::false() });
reading('a poll is answered 202 while it runs', { job_pending => 202 });

my $path = run_job({ poll_url => 'path' }, '');

like($path->{job}->json->{poll_url}, qr{^/v1/phota/jobs/job_[0-9A-Z]{26}$},
    'a path is told as one');


# --- and where they fail: nothing is paid

sub failing {
    my ($error, $shape) = @_;

    my $x = run_job({ job_error => $error, job_shape => $shape },
        'end=failed');
    my $charge = $t->charge($x->{job});
    my $name = "job_error $error, job_shape $shape";

    is("$charge->{state} $charge->{reason} $charge->{cost}",
        'void job_failed 0.000000', "$name: nothing is paid");
    like($x->{end}->body, qr/"status":"failed"/, "$name: it failed");
    like($x->{end}->body, qr/could not be made/, "$name: and why")
        if $error ne 'none';
    unlike($x->{end}->body, qr/\Q$x->{up}{job_id}\E/, "$name: by its name");
}

failing($_, 'nested') for qw/ object string flat none /;
failing('object', $_) for qw/ flat data job /;
failing('none', 'flat');

for my $word (qw/ error CANCELED rejected /) {
    my $x = run_job({ job_words => { failed => $word } },
        'end=failed');

    is($t->charge($x->{job})->{state}, 'void', "$word is the end of one");
}

$t->finish;

done_testing();
