# What the documentation shows is so: its commands run, and say what it says
# they do; its snippets of configuration are valid; each directive, variable and
# error has its place in it, and links lead somewhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Docs;
use Phota::Test;
use Test::More;

my $top = $Phota::Docs::top;


# What a page's commands find when they begin.  In all of them $TOKEN is a
# token of acme's, and body.json a remix of two photographs.

my %before = (
    'docs/books.md' => <<'END',
        curl -sSf $PHOTA_SIM/_sim/bill.csv > nov.csv
END
    'docs/clients.md' => <<'END',
        curl -sSf -d '{"job_delay":1000}' $PHOTA_SIM/_sim/config
        export PHOTIO_KEY=pt-example
END
    'docs/cache.md' => <<'END',
        curl -sSf -o answer -H "X-API-Key: $TOKEN" --data-binary @body.json \
            $GATEWAY/v1/phota/remix
END
);

# all pages, or those that are named on the command line

for my $page (@ARGV ? @ARGV : Phota::Docs::pages()) {
    my @blocks = Phota::Docs::blocks($page);
    my @run = grep { $_->{kind} =~ /^(?:sh|console)$/ && !$_->{by} } @blocks;

    run_page($page, @run) if @run;

    for my $block (grep { $_->{kind} eq 'nginx' } @blocks) {
        config_is_valid($page, $block);
    }

    for my $block (grep { $_->{by} } @blocks) {
        ok(runs($block->{by}), "$page:$block->{line}: $block->{by} exists");
    }

    links_lead($page);
}

# what a comment names: a test, or a target of the Makefile

sub runs {
    my ($name) = @_;

    return -f "$top/$name" if $name =~ m{/};
    return Phota::Gateway::slurp("$top/Makefile") =~ /^\Q$name\E:/m;
}


# --- commands

sub run_page {
    my ($page, @blocks) = @_;

    my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
    my $dir = $t->dir . '/page';
    my (@steps, $script);

    mkdir $dir;
    prepare($t, $dir);

    for my $block (@blocks) {
        for my $step (Phota::Docs::steps($block)) {
            push @steps, { block => $block, shown => $step->[1],
                command => $step->[0] };
        }
    }

    $script = preamble($t, $dir, $page);

    my $block = 0;

    for my $i (0 .. $#steps) {
        my $step = $steps[$i];
        my $command = here($t, $step->{command});

        $script .= "cd $dir\n" if $step->{block} != $block;
        $script .= "exec > $dir/step$i 2>&1\n$command\n"
            . "echo \$? > $dir/code$i\n";
        $block = $step->{block};
    }

    Phota::Gateway::execute([ '/bin/bash', '-c', $script ]);

    for my $i (0 .. $#steps) {
        check_step($t, $page, $dir, $i, $steps[$i]);
    }

    # what was issued and shown here is no leak

    system('rm', '-rf', $dir);

    $t->finish(unknown => 1, log => qr/./);
}

sub prepare {
    my ($t, $dir) = @_;

    mkdir "$dir/bin";
    symlink(Phota::Gateway::program('photactl'), "$dir/bin/photactl");

    write_file("$dir/body.json", remix(input => photo('jpg', 64, 48, 1),
        reference => photo('png', 32, 32, 2)));
}

sub write_file {
    my ($name, $text) = @_;

    open(my $fh, '>', $name) or die "$name: $!\n";
    print $fh $text;
    close($fh);
}

# addresses and paths as they are here

my %ports;

sub here {
    my ($t, $text) = @_;

    my $data = $t->gateway->data;

    $text =~ s{/tmp/pc\b}{@{[ $t->dir ]}/page/pc}g;
    $text =~ s{\b(808[89])\b}{$ports{$1} //= Phota::Gateway::free_port()}ge;
    $text =~ s{http://localhost:8080}{http://127.0.0.1:@{[ $t->port ]}}g;
    $text =~ s{https://api\.photalabs\.com}{$t->sim->url}ge;
    $text =~ s{/var/lib/phota}{$data}g;
    $text =~ s{/etc/phota/master\.key}{@{[ $t->gateway->dir ]}/master.key}g;

    return $text;
}

sub preamble {
    my ($t, $dir, $page) = @_;

    my %env = (PHOTA_DATA => $t->gateway->data,
        PHOTA_MASTER_KEY => $t->gateway->dir . '/master.key',
        GATEWAY => 'http://127.0.0.1:' . $t->port, PHOTA_SIM => $t->sim->url,
        PHOTA_KEY => $t->{key}, TOKEN => $t->token('acme'));

    return join('', "set -o pipefail\ncd $dir\nexport PATH=\$PWD/bin:\$PATH"
        . ":/usr/sbin LC_ALL=C.UTF-8 TZ=UTC\n",
        map({ "export $_='$env{$_}'\n" } sort keys %env),
        "exec > before 2>&1 < /dev/null\n", $before{$page} // '');
}

sub check_step {
    my ($t, $page, $dir, $i, $step) = @_;

    my $said = Phota::Gateway::slurp("$dir/step$i");
    my $code = Phota::Gateway::slurp("$dir/code$i");
    my ($first) = $step->{command} =~ /^\s*(.{1,60})/;
    my $name = "$page:$step->{block}{line}: $first";

    chomp $code;

    if ($step->{block}{kind} eq 'sh') {
        is($code, 0, $name) or diag($said, slurp_before($dir));
        return;
    }

    my $differs = Phota::Docs::differs(here($t, $step->{shown}), $said);

    is($differs, '', $name) or diag($said, slurp_before($dir));
}

sub slurp_before {
    return Phota::Gateway::slurp("$_[0]/before");
}


# --- configuration

# A snippet in a server that has what it leads to.  Lines are taken as they
# stand: those of a location or of "listen" go into the server, others outside.

sub config_is_valid {
    my ($page, $block) = @_;

    my $dir = File::Temp->newdir('phota-docs-XXXXXX', TMPDIR => 1,
        CLEANUP => 1);
    my $module = Phota::Gateway::program('module');
    my $text = $block->{text};
    my $user = $> == 0 ? 'user root;' : '';

    chmod 0700, "$dir";
    mkdir "$dir/logs";

    if ($text !~ /^load_module/m) {
        my ($server, $http) = ('', '');

        while ($text =~ /\G(\s*location\b[^{]*(\{(?:[^{}]|(?2))*\})\s*
            |\s*listen\b[^;]*;|[^\n]*\n)/gx)
        {
            my $part = $1;

            $part =~ /^\s*(?:location|listen)\b/ ? ($server .= $part)
                : ($http .= $part);
        }

        for my $to (qw/ upstream photio outbound /) {
            next if $server =~ m{location /$to/};
            $server .= "location /$to/ { internal; include phota_params;"
                . " proxy_pass http://127.0.0.1:1/; }\n";
        }

        $server .= "location /phota/results/ { phota_results; }\n"
            if $server !~ m{phota_results;};

        $text = "load_module modules/ngx_http_phota_module.so;\nhttp {\n"
            . "phota_data /var/lib/phota;\n"
            . "phota_master_key /etc/phota/master.key;\n$http\n"
            . "server { listen 127.0.0.1:1;\n$server\n}\n}\n";
    }

    $text =~ s{modules/ngx_http_phota_module\.so}{$module};
    $text =~ s{/var/lib/phota}{$dir/data}g;
    $text =~ s{/etc/phota/master\.key}{$dir/master.key}g;
    $text =~ s{(api\.photalabs\.com|api\.photio\.io)(?=:443)}{127.0.0.1}g;
    $text =~ s{include (phota_\w+)}{include $top/conf/$1}g;
    $text =~ s{/var/log/nginx}{$dir}g;
    $text .= "events { }\n" if $text !~ /^events/m;

    write_file("$dir/nginx.conf", "$user\npid $dir/pid;\n$text");

    Phota::Gateway::execute([ Phota::Gateway::program('photactl'), '--data',
        "$dir/data", '--master-key', "$dir/master.key", 'init' ]);

    my ($code, $out, $err) = Phota::Gateway::execute([
        Phota::Gateway::program('nginx'), '-t', '-p', "$dir", '-e',
        "$dir/error.log", '-c', "$dir/nginx.conf" ]);

    is($code, 0, "$page:$block->{line}: nginx takes it") or diag($err, $text);
}


# --- completeness

sub sources {
    my ($pattern) = @_;

    my %found;

    for my $file (glob("$top/src/ngx/*.c $top/src/ngx/*.h")) {
        my $text = Phota::Gateway::slurp($file);
        $found{$1} = 1 while $text =~ /$pattern/g;
    }

    return sort keys %found;
}

my $directives = Phota::Gateway::slurp("$top/docs/directives.md");
my $clients = join('', map { Phota::Gateway::slurp("$top/$_") }
    'docs/clients.md', grep { -f "$top/$_" } 'docs/api.md');

for my $name (sources(qr/\{\s*ngx_string\("(phota_\w+)"\),\s*NGX_HTTP_\w+CONF/)) {
    like($directives, qr/^\*\*\Q$name\E\*\*/m, "the directive $name");
}

for my $name (sources(qr/ngx_string\("(phota_\w+)"\),\s*(?:NULL|ngx_http_phota_\w+),\s*ngx_http_phota_\w+variable/)) {
    like($directives, qr/`\$\Q$name\E`/, "the variable \$$name");
}

for my $code (sources(qr/"([A-Z]+(?:_[A-Z]+)+|UNAUTHORIZED|TIMEOUT)"/)) {
    next if $code =~ /^(?:CONTENT_MODERATION|IN_PROGRESS)$/;
    like($clients, qr/`\Q$code\E`/, "the error $code");
}

sub links_lead {
    my ($page) = @_;

    my ($dir) = $page =~ m{^(.*/)?};
    my $text = Phota::Gateway::slurp("$top/$page");

    $text =~ s/^```.*?^```//gms;

    while ($text =~ /\]\(([^)#]*)(?:#([^)]*))?\)/g) {
        my ($file, $part) = ($1, $2);

        next if $file =~ /^https?:/;

        my $path = $file eq '' ? $page : ($dir // '') . $file;

        ok(-e "$top/$path", "$page: $path is there");
        ok(grep({ $_ eq $part } anchors($path)), "$page: $path#$part")
            if defined $part;
    }
}

sub anchors {
    my ($page) = @_;

    return map { lc(s/[^\w\s-]//gr) =~ s/\s/-/gr }
        Phota::Gateway::slurp("$top/$page") =~ /^#+ (.*)$/mg;
}

done_testing();
