#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ruby as forking servers use it: a heap is filled, workers are forked from it while
# other threads allocate, each works on its copy, compacts it and forks again.
#
# for an interpreter that forks with threads: its children have to allocate and to end
# needs ruby
# probe ruby -e 0

cat >main.rb <<'END'
require 'digest'
require 'timeout'

def hash(text)
	Digest::SHA256.hexdigest(text)[0, 32]
end

def words(seed, count)
	(1..count).map { |i| ('a'.ord + (i + seed) % 26).chr * (i * 7919 % 400) }
end

# The block runs in a child, which answers with what the block is worth. A child that
# says nothing for two minutes hangs.
def worker
	reading, writing = IO.pipe
	pid = fork do
		reading.close
		writing.write(yield)
		writing.close
		exit!(0)
	end
	writing.close
	[pid, reading]
end

def answer((pid, reading))
	text = Timeout.timeout(120) { reading.read }
	Process.wait(pid)
	"#{$?.exitstatus.inspect} #{text}"
end

$stdout.sync = true
table = {}
words(0, 60_000).each_with_index { |word, i| table[i] = word }
puts "result filled #{hash(table.values.join)}"

stop = false
busy = 3.times.map do |i|
	Thread.new do
		rounds = 0
		until stop
			words(i, 500)
			Array.new(20) { |k| 'x' * (k * 5000) }
			rounds += 1
		end
		rounds
	end
end
8.times do |round|
	workers = 4.times.map do |n|
		worker do
			mine = words(round * 4 + n, 8_000)
			(0...60_000).step(4) { |i| table.delete(i + n) }
			GC.start
			GC.compact if GC.respond_to?(:compact)
			inner = answer(worker { hash(words(n, 2_000).join) })
			sizes = Thread.new { words(n, 3_000).sum(&:size) }.value
			hash(mine.join + table.values.join) + inner + sizes.to_s
		end
	end
	puts "result workers-#{round} #{workers.map { |w| answer(w) }.join(', ')}"
end
commands = 20.times.map { |i| `echo #{i}; exit #{i % 3}`.chomp + $?.exitstatus.to_s }
puts "result commands #{commands.join}"
stop = true
puts "result threads #{busy.all? { |t| t.value.positive? }}"
# The parent has one thread again.
puts "result after #{answer(worker { hash(words(1, 20_000).join) })}"
END
timeout 200 ruby main.rb
