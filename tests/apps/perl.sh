#!/bin/bash
# SPDX-License-Identifier: MIT
#
# perl: hashes, strings that grow, sorting, regular expressions, closures in
# cycles, fork, and its threads, each of which copies the whole interpreter.
#
# for an interpreter that copies itself for each thread, and forks
# needs perl
# probe perl -e 1

export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
perl -w <<'END'
use strict;
use threads;
use Digest::SHA qw(sha256_hex);
use Storable qw(dclone);

$| = 1;
my %words;
for my $i (1 .. 200000) {
	$words{ $i * 7919 % 100003 } .= chr(97 + $i % 26) x ($i % 40);
}
my @lines = map { "$_ $words{$_}" } sort { $a <=> $b } keys %words;
print "result hash ", sha256_hex(join "\n", @lines), "\n";

my $text = join ' ', @lines;
my $count = () = $text =~ / ([a-z])\1+([a-z])\2+ /g;
(my $other = $text) =~ s/([aeiou]+)/<$1>/g;
print "result regex $count ", sha256_hex($other), "\n";

my $tree = {};
for my $i (1 .. 20000) {
	my $node = $tree;
	$node = $node->{$_} ||= {} for split //, $i;
	$node->{end} = [ (1) x ($i % 5) ];
}
my $copy = dclone($tree);
sub size {
	my $n = shift;
	ref $n eq 'HASH' ? 1 + eval { my $s = 0; $s += size($_) for values %$n; $s } : @$n;
}
print "result tree ", size($tree), " ", size($copy), "\n";

for (1 .. 20000) {
	my $self = { data => 'x' x 200 };
	$self->{me} = sub { $self };
	delete $self->{me} if $_ % 2;
}

sub work {
	my $n = shift;
	my %h;
	for my $round (1 .. 3) {
		%h = ();
		$h{ $_ % 5003 } .= "$n$_" for 1 .. 30000;
	}
	return sha256_hex(join ',', map { "$_=$h{$_}" } sort keys %h);
}
for my $round (1 .. 2) {
	my @threads = map { threads->create(\&work, $_) } 1 .. 4;
	print "result threads-$round ", join(' ', map { $_->join } @threads), "\n";
}

my @pids;
for my $child (1 .. 4) {
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		exit(work($child) =~ /^[0-9a-f]{64}$/ ? $child : 99);
	}
	push @pids, $pid;
}
print "result forked ", join(' ', map { waitpid($_, 0); $? >> 8 } @pids), "\n";
END
