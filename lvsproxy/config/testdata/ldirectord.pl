# Runs ldirectord's own parser over files, for TestLikeLdirectord and package convert's tests.
#
#   perl ldirectord.pl /usr/sbin/ldirectord ANY_GOOD_FILE
#
# The program itself runs unchanged, as "ldirectord -d ANY_GOOD_FILE status", which reads that file and exits. On its way
# out we use what it has defined: for each path on standard input, one line of JSON on standard output says what
# read_config and ld_setup made of it, in the words of ipvsadm's table where that is what counts.
use strict;
use warnings;
use JSON::PP;

my ($program, $good) = @ARGV;
open(my $answers, '>&', \*STDOUT) or die $!;
open(STDOUT, '>', '/dev/null') or die $!;
open(STDERR, '>', '/dev/null') or die $!;
$answers->autoflush(1);
$ENV{PERLIO} = 'perlio';    # else it starts itself again
@ARGV = ('-d', $good, 'status');
do $program;

END {
	local_names();
	answer($_) while defined($_ = <STDIN>);
}

# local_names has no name but localhost resolve, so that no test asks a name server.
sub local_names {
	no warnings;
	my $resolve = \&main::getaddrinfo;
	*main::getaddrinfo = sub {
		my ($host, $service, $family) = @_;
		return $resolve->(@_) if $host eq 'localhost' or $host eq '';
		return $resolve->($host, $service, $family, 0, 0, Socket6::AI_NUMERICHOST());
	};
}

sub answer {
	my ($path) = @_;
	chomp $path;
	my $log = '';
	my $ok = eval {
		no warnings;
		local *STDERR;
		open(STDERR, '>', \$log) or die $!;
		$main::CONFIG        = $path;
		$main::DAEMON_STATUS = $main::DAEMON_STATUS_RELOADING;    # an error dies then, and does not exit
		main::read_config();
		main::ld_setup();
		1;
	};
	my $json = JSON::PP->new->canonical;
	my $answer = !$ok ? { refused => $log } : $ENV{LDIRECTORD_COMMANDS} ? commands() : file();
	print $answers $json->encode($answer), "\n";
}

# commands are the arguments with which ldirectord calls ipvsadm to add the services and, were they up, their servers.
sub commands {
	no warnings;
	my @commands;
	for my $v (@main::VIRTUAL) {
		push @commands, "-A $v->{flags}";
		for my $r (@{ $v->{real} }) { # as in _restore_service
			my $limits = join '', map { $r->{ $_->[1] } ? " $_->[0] $r->{$_->[1]}" : () } ['-x', 'u-threshold'], ['-y', 'l-threshold'];
			push @commands, "-a $v->{proto} " . main::get_virtual_option($v) . " -r $r->{server}:$r->{port} $r->{forw} -w $r->{weight}$limits";
		}
	}
	return { commands => \@commands };
}

sub file {
	no warnings;
	return {
		autoreload  => $main::AUTOCHECK,
		interval    => $main::CHECKINTERVAL + 0,
		callback    => text($main::CALLBACK),
		cleanstop   => $main::CLEANSTOP,
		maintenance => text($main::MAINTDIR),
		logfile     => $main::LDIRLOG eq '/var/log/ldirectord.log' ? '' : $main::LDIRLOG,
		execute     => [ sort map { s/^"(.+)"$/$1/r } keys %main::LD_INSTANCE ],
		virtuals    => [ map { virtual($_) } @main::VIRTUAL ],
	};
}

sub virtual {
	my ($v) = @_;
	no warnings;
	my $to = first($v->{emailalert}, $main::EMAILALERT);
	my $persistent = defined $v->{persistent};
	my $udp = $v->{protocol} eq 'udp';
	return {
		id              => main::get_virtual_id_str($v),
		scheduler       => $v->{scheduler},
		flags           => text($v->{schedflags}),
		persistent      => ($v->{persistent} // 0) + 0,
		netmask         => $persistent ? ($v->{netmask} // ($v->{addressfamily} == main::AF_INET6() ? 128 : '255.255.255.255')) . '' : '',
		ops             => $udp && $v->{ops} eq 'yes' ? 'yes' : 'no',
		quiescent       => first($v->{quiescent}, $main::QUIESCENT),
		cleanstop       => first($v->{cleanstop}, $main::CLEANSTOP),
		fallback        => fallback($v),
		fallbackcommand => text(first($v->{fallbackcommand}, $main::FALLBACKCOMMAND)),
		monitorfile     => text($v->{monitorfile}),
		servicename     => text($v->{servicename}),
		comment         => text($v->{comment}),
		mail => $to eq '' ? {} : {
			to     => $to,
			from   => text($main::EMAILALERTFROM),
			smtp   => text(first($v->{smtp}, $main::SMTP)),
			every  => first($v->{emailalertfreq}, $main::EMAILALERTFREQ) + 0,
			status => status(first($v->{emailalertstatus}, $main::EMAILALERTSTATUS)),
		},
		check => {
			type      => $v->{checktype},
			every     => $v->{checktype} eq 'combined' ? $v->{num_connects} + 0 : 0,
			service   => $v->{service},
			method    => $v->{httpmethod},
			host      => text($v->{virtualhost}),
			interval  => ($main::FORKING eq 'yes' && $v->{checkinterval} || $main::CHECKINTERVAL) + 0,
			connect   => $v->{checktimeout} + 0,
			negotiate => $v->{negotiatetimeout} + 0,
			count     => $v->{checkcount} + 0,
			failures  => $v->{failurecount} + 0,
			command   => $v->{checkcommand},
			login     => $v->{login},
			passwd    => $v->{passwd},
			database  => $v->{database},
			secret    => $v->{secret},
		},
		reals => reals($v),
	};
}

# reals are the real servers as ipvsadm has them: of two with one address the last counts, and port 0, or with other
# methods than masq any, is the virtual service's.
sub reals {
	my ($v) = @_;
	no warnings;
	my (@reals, %index);
	for my $r (@{ $v->{real} }) {
		my $port = $v->{protocol} eq 'fwm' || $r->{forward} eq 'masq' && $r->{port} ? $r->{port} : $v->{port};
		my $real = {
			address => "$r->{server}:" . ($port + 0),
			forward => $r->{forward},
			weight  => $r->{weight} + 0,
			request => request($v, $r),
			receive => $r->{receive},
			check   => (main::ld_checkport($v, $r) || $port) + 0,
			lower   => ($r->{'l-threshold'} // 0) + 0,
			upper   => ($r->{'u-threshold'} // 0) + 0,
		};
		my $i = $index{ $real->{address} } //= @reals;
		$reals[$i] = $real;
	}
	return \@reals;
}

# request is what a check asks for: where the request is a whole URL, that without the slash that ldirectord puts before it
# and takes away again.
sub request {
	my ($v, $r) = @_;
	my $scheme = $v->{service} eq 'http_proxy' ? 'http' : $v->{service};
	my $own = $v->{service} eq 'http_proxy' || $r->{request} ne $v->{request};
	return $own ? $r->{request} =~ s{^/(?=\Q$scheme\E://.)}{}r : $r->{request};
}

sub fallback {
	my ($v) = @_;
	no warnings;
	my $f = main::fallback_find($v) or return '';
	return "$f->{server}:" . ($f->{port} + 0) . " $f->{forward}";
}

sub status {
	my ($bits) = @_;
	my %bit = (starting => 1, running => 2, stopping => 4, reloading => 8);
	return join ',', grep { $bits & $bit{$_} } sort keys %bit;
}

sub first { my ($own, $all) = @_; return $own // $all }

sub text { my ($s) = @_; return ($s // '') . '' }
