# SPDX-License-Identifier: MIT
#
# Tables of results.csv, for report.sh: see there. Variables: picture, a file for what
# the page begins with; charts, a directory for what gnuplot is to draw; promises, how
# many memory promises were not met, and how many of all were looked at ("-": none). If
# there is a trace.csv, it comes before results.csv, with "tracing=1".
#
# The best peer of a workload is the one with the smallest median, hakmem apart.
# A workload is one row of the tables: its command with all sizes and numbers.

BEGIN { FS = "," }

function remember(list, key, value)
{
	list[key] = list[key] " " value
}

function sorted(values, out,    n, i, j, swap)
{
	n = split(values, out, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && out[j - 1] + 0 > out[j] + 0; j--) {
			swap = out[j]; out[j] = out[j - 1]; out[j - 1] = swap
		}
	return n
}

function median(values,    n, v)
{
	n = sorted(values, v)
	return n ? (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2 : ""
}

# (largest - smallest) / median, in percent
function spread(values,    n, v, middle)
{
	n = sorted(values, v)
	middle = median(values)
	return n && middle > 0 ? sprintf("%.0f", (v[n] - v[1]) * 100 / middle) : ""
}

FNR == 1 { next }

# Memory over time: the first and the last figure of each malloc, in KiB.
tracing {
	if ($1 != "memory over time: all freed")
		next
	if (!($2 in trace_first))
		trace_first[$2] = $4
	trace_last[$2] = $4
	next
}

{
	workload = $2; peer = $3
	if (!(workload in known)) {
		known[workload] = 1
		workloads[++n_workloads] = workload
	}
	if (!(peer in known_peer)) {
		known_peer[peer] = 1
		peers[++n_peers] = peer
	}
	if ($4 != "ok") {
		failures[++n_failures] = sprintf("%s: %s %s%s", workload, peer, $4, \
			$1 > 0 ? " in turn " $1 : "")
		if ($1 > 0) # turn 0 counts instructions: the times are good
			failed[workload, peer] = 1
		next
	}
	if ($5 != "") {
		remember(ns, workload SUBSEP peer, $5)
		timed[workload] = 1
	}
	if ($7 != "")
		remember(kib, workload SUBSEP peer, $7)
	n = split($8, field, " ")
	for (i = 1; i <= n; i++) {
		at = index(field[i], "=")
		remember(more, workload SUBSEP peer SUBSEP substr(field[i], 1, at - 1), \
			substr(field[i], at + 1))
	}
}

# Medians; "" where a peer has none, or has failed once.
function time_of(workload, peer)
{
	return (workload, peer) in failed ? "" : median(ns[workload, peer])
}

function memory_of(workload, peer)
{
	return (workload, peer) in failed ? "" : median(kib[workload, peer])
}

function figure(workload, peer, key)
{
	return median(more[workload, peer, key])
}

# What a table shows: time, memory or instructions.
function value(what, workload, peer)
{
	if (what == "time")
		return time_of(workload, peer)
	if (what == "own_kib" && (workload, peer) in failed)
		return ""
	return what == "memory" ? memory_of(workload, peer) : figure(workload, peer, what)
}

function best(what, workload,    i, v, least)
{
	least = ""
	for (i = 1; i <= n_peers; i++) {
		v = peers[i] == "hakmem" ? "" : value(what, workload, peers[i])
		if (v != "" && (least == "" || v < least))
			least = v
	}
	return least
}

# Latency has its own table: time stamps are most of what it takes.
function is_compared(workload)
{
	return (workload in timed) && workload !~ /^latency/
}

# Geometric mean of hakmem's ratio to @peer ("": to the best peer) over all
# workloads that match; sets ratios, worst and worst_workload.
function mean_ratio(what, peer, pattern,    i, own, other, sum)
{
	ratios = 0
	worst = 0
	sum = 0
	for (i = 1; i <= n_workloads; i++) {
		if (!is_compared(workloads[i]) || workloads[i] !~ pattern)
			continue
		own = value(what, workloads[i], "hakmem")
		other = peer == "" ? best(what, workloads[i]) : value(what, workloads[i], peer)
		if (own == "" || other == "" || other <= 0 || own <= 0)
			continue
		sum += log(own / other)
		ratios++
		if (own / other > worst) {
			worst = own / other
			worst_workload = workloads[i]
		}
	}
	return ratios ? exp(sum / ratios) : ""
}

function number(v)
{
	if (v == "")
		return "-"
	if (v >= 1e9)
		return sprintf("%.2f s", v / 1e9)
	if (v >= 1e6)
		return sprintf("%.1f ms", v / 1e6)
	if (v >= 1e4)
		return sprintf("%.1f us", v / 1e3)
	return sprintf(v < 100 ? "%.1f" : "%.0f", v)
}

function mib(v)
{
	return v == "" ? "-" : sprintf(v < 102400 ? "%.1f" : "%.0f", v / 1024)
}

function ratio(v)
{
	return v == "" ? "-" : sprintf("%.2f", v)
}

function show(what, v)
{
	if (what == "time")
		return number(v)
	return what == "memory" || what == "own_kib" ? mib(v) : v == "" ? "-" : sprintf("%.1f", v)
}

function heading(first,    i, line, rule)
{
	line = "| " first " |"
	rule = "| --- |"
	for (i = 1; i <= n_peers; i++) {
		line = line " " peers[i] " |"
		rule = rule " ---: |"
	}
	return line " hakmem / best |\n" rule " ---: |"
}

function print_table(what, with_spread,    i, j, v, least, own, line, text)
{
	print heading("workload")
	for (i = 1; i <= n_workloads; i++) {
		least = best(what, workloads[i])
		own = value(what, workloads[i], "hakmem")
		if (what ~ /^(time|memory)$/ ? !(workloads[i] in timed) : own == "" && least == "")
			continue
		line = "| " workloads[i] " |"
		for (j = 1; j <= n_peers; j++) {
			v = value(what, workloads[i], peers[j])
			text = (workloads[i], peers[j]) in failed && what != "instructions" ? "fails" : \
				show(what, v)
			if (with_spread && v != "")
				text = text " ±" spread(ns[workloads[i], peers[j]]) "%"
			if (v != "" && least != "" && v <= least && (own == "" || v <= own))
				text = "**" text "**"
			line = line " " text " |"
		}
		v = own != "" && least != "" && least > 0 ? own / least : ""
		print line " " ratio(v) " |"
	}
}

function by_group(what,    i, j, group, seen, order, n)
{
	print heading("hakmem / ...")
	for (i = 1; i <= n_workloads; i++) {
		if (!is_compared(workloads[i]))
			continue
		group = workloads[i]
		sub(/ .*/, "", group)
		if (!(group in seen)) {
			seen[group] = 1
			order[++n] = group
		}
	}
	for (i = 1; i <= n; i++)
		group_row(what, order[i], "^" order[i] "( |$)")
	group_row(what, "**all**", "")
}

function group_row(what, name, pattern,    j, line)
{
	line = "| " name " |"
	for (j = 1; j <= n_peers; j++)
		line = line " " (peers[j] == "hakmem" ? "1" : \
			ratio(mean_ratio(what, peers[j], pattern))) " |"
	print line " " ratio(mean_ratio(what, "", pattern)) " |"
}

# A row of what is required; @got is "" if it was not measured.
function requirement(what, required, most, got, note)
{
	printf "| %s | %s | %s%s | %s |\n", what, required, got == "" ? "not measured" : \
		sprintf(got < 10 ? "%.2f" : "%.1f", got), note == "" ? "" : " (" note ")", \
		got == "" ? "-" : got <= most ? "yes" : "**no**"
}

function worst_peer(    i, v, most)
{
	most = ""
	for (i = 1; i <= n_peers; i++) {
		v = peers[i] == "hakmem" ? "" : mean_ratio("time", peers[i], "")
		if (v != "" && (most == "" || v > most)) {
			most = v
			worst_name = peers[i]
		}
	}
	return most
}

function divided(a, b)
{
	return a == "" || b == "" || b <= 0 ? "" : a / b
}

function percentile_row(call)
{
	requirement("p99.99 of " call ", replace 100k, ratio to the best peer", "at most 1.00", 1, \
		divided(figure("latency 100000", "hakmem", call "_p99.99"), \
			best(call "_p99.99", "latency 100000")))
}

function requirements(    v, of_others)
{
	of_others = "^(filled|halves|passed|larson 2 threads 8|program abc)"
	print "| measure | required | measured | met |"
	print "| --- | --- | ---: | --- |"
	requirement("pair 16 B, instructions, loop included", "at most 46", 46, \
		figure("pair 16", "hakmem", "instructions"))
	requirement("pair 64 B, instructions, loop included", "at most 46", 46, \
		figure("pair 64", "hakmem", "instructions"))
	v = mean_ratio("time", "", "")
	requirement("time, ratio to the best peer of each workload, geometric mean", \
		"at most 0.85", .85, v, ratios " workloads")
	v = mean_ratio("time", "", of_others)
	requirement("... of blocks that are used, and of programs that minimise logic", \
		"at most 1.00", 1, v, ratios " workloads")
	requirement("... the slowest of these", "at most 1.03", 1.03, ratios ? worst : "", \
		worst_workload)
	requirement("time against each single peer, geometric mean", "at most 0.80", .80, \
		worst_peer(), worst_name)
	mean_ratio("time", "", "")
	requirement("slowest workload, ratio to its best peer", "at most 1.10", 1.10, \
		ratios ? worst : "", worst_workload)
	requirement("producer/consumer 16..512 B, time against jemalloc", "at most 1.00", 1, \
		divided(time_of("exchange 1 to 1", "hakmem"), time_of("exchange 1 to 1", "jemalloc")))
	v = mean_ratio("memory", "", "")
	requirement("peak memory, ratio to the best peer of each workload, geometric mean", \
		"at most 1.08", 1.08, v, ratios " workloads")
	v = mean_ratio("own_kib", "", "")
	requirement("... without pages of files, which processes share", "at most 1.03", 1.03, v, \
		ratios " workloads")
	percentile_row("malloc")
	percentile_row("free")
	requirement("lock acquisitions per 1000 operations, Larson, 8 threads", "at most 10", 10, \
		figure("larson 8 threads", "hakmem", "locks_per_1000"))
	requirement("... producers and consumers, 8 threads", "at most 10", 10, \
		figure("exchange 4 to 4", "hakmem", "locks_per_1000"))
	v = promises == "-" ? "" : promises + 0
	requirement("memory promises that are not kept (below)", "none", 0, v, \
		v == "" ? "" : substr(promises, index(promises, " ") + 1))
}

function latencies(    i, j, k, calls, keys, line, n)
{
	split("malloc free", calls, " ")
	n = split("p50 p99 p99.9 p99.99 max", keys, " ")
	print heading("ns")
	for (i = 1; i <= 2; i++)
		for (k = 1; k <= n; k++) {
			line = "| " calls[i] " " keys[k] " |"
			for (j = 1; j <= n_peers; j++)
				line = line " " number(figure("latency 100000", peers[j], \
					calls[i] "_" keys[k])) " |"
			print line " " ratio(divided(figure("latency 100000", "hakmem", \
				calls[i] "_" keys[k]), best(calls[i] "_" keys[k], "latency 100000"))) " |"
		}
}

# For gnuplot: a line for each workload, its ratios to hakmem.
function chart(what,    file, i, j, own, v, line, row)
{
	file = charts "/" what ".dat"
	line = "workload"
	for (j = 1; j <= n_peers; j++)
		line = line "\t" peers[j]
	print line >file
	for (i = n_workloads; i >= 1; i--) {
		own = value(what, workloads[i], "hakmem")
		if (!is_compared(workloads[i]) || own == "" || own <= 0)
			continue
		line = workloads[i]
		for (j = 1; j <= n_peers; j++) {
			v = value(what, workloads[i], peers[j])
			line = line "\t" (v == "" || v <= 0 ? "?" : v / own)
		}
		print line >file
	}
	close(file)
}

# A row of what the page begins with: of one malloc, what takes more is worse.
function headline_row(text, format)
{
	headline[++n_headlines] = text
	headline_format[n_headlines] = format
}

function headline_value(row, peer, v)
{
	headlines[row, peer] = v
	if (v != "" && v > headline_most[row])
		headline_most[row] = v
}

function collect_headlines(    i, peer, v)
{
	mean_ratio("time", "", "")
	headline_row("Time of " ratios " workloads, hakmem = 1", "%.2f")
	headline_row("Peak memory of these, hakmem = 1", "%.2f")
	for (i = 1; i <= n_peers; i++) {
		peer = peers[i]
		v = peer == "hakmem" ? 1 : mean_ratio("time", peer, "")
		headline_value(1, peer, v == "" ? "" : 1 / v)
		v = peer == "hakmem" ? 1 : mean_ratio("memory", peer, "")
		headline_value(2, peer, v == "" ? "" : 1 / v)
	}
	if (!("hakmem" in trace_last))
		return
	headline_row("MiB that stay when 8 threads have freed all", "%.0f")
	for (i = 1; i <= n_peers; i++) {
		peer = peers[i]
		v = peer in trace_last ? trace_last[peer] - trace_first[peer] : ""
		headline_value(3, peer, v == "" ? "" : v > 0 ? v / 1024 : 0)
	}
}

function headline_text(row, peer,    v)
{
	v = headlines[row, peer]
	return v == "" ? "-" : sprintf(headline_format[row], v)
}

function print_headlines(    i, j, line, rule)
{
	line = "| |"
	rule = "| --- |"
	for (j = 1; j <= n_peers; j++) {
		line = line " " peers[j] " |"
		rule = rule " ---: |"
	}
	print line "\n" rule
	for (i = 1; i <= n_headlines; i++) {
		line = "| " headline[i] " |"
		for (j = 1; j <= n_peers; j++)
			line = line " " headline_text(i, peers[j]) " |"
		print line
	}
}

# The same as bars, each group as wide as its longest.
function draw_headlines(    i, j, y, v)
{
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"%d\" " \
		"font-family=\"sans-serif\" font-size=\"13\">\n", \
		n_headlines * (n_peers * 20 + 48) + 16 >picture
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>" >picture
	y = 8
	for (i = 1; i <= n_headlines; i++) {
		y += 24
		printf "<text x=\"16\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y, headline[i] >picture
		for (j = 1; j <= n_peers; j++) {
			v = headlines[i, peers[j]]
			y += 20
			printf "<text x=\"116\" y=\"%d\" text-anchor=\"end\">%s</text>\n", y, peers[j] >picture
			if (headline_most[i] > 0)
				printf "<rect x=\"124\" y=\"%d\" width=\"%.1f\" height=\"14\" " \
					"fill=\"%s\"/>\n", y - 11, 560 * v / headline_most[i], \
					peers[j] == "hakmem" ? "#1668b8" : "#b8b8b8" >picture
			printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", \
				130 + (headline_most[i] > 0 ? 560 * v / headline_most[i] : 0), y, \
				headline_text(i, peers[j]) >picture
		}
		y += 24
	}
	print "</svg>" >picture
	close(picture)
}

END {
	collect_headlines()
	draw_headlines()
	print "![hakmem beside other mallocs](summary.svg)\n"
	print_headlines()
	print "\nSmaller is better, in every row. Time and memory are geometric means.\n"
	while (about != "" && (getline line <about) > 0)
		print line
	print "\n## What it must show\n"
	requirements()
	print "\n## Time\n"
	print "Geometric means of hakmem's time divided by another's; below 1 hakmem is faster.\n"
	by_group("time")
	print "\nMedians, in ns of an operation unless a unit is given, and by how much runs"
	print "differed (largest less smallest, of the median). The best are bold.\n"
	print_table("time", 1)
	print "\n## Peak memory\n"
	print "Geometric means of hakmem's peak divided by another's.\n"
	by_group("memory")
	print "\nMedians, MiB resident at the peak; the benchmark's own tables are not counted.\n"
	print_table("memory", 0)
	print "\nThe same without pages of files, such as those of a library's code, which all"
	print "processes share. (Of programs it is not known.)\n"
	by_group("own_kib")
	print ""
	print_table("own_kib", 0)
	print "\n## Instructions\n"
	print "Of one operation, by callgrind: they do not depend on what else the machine does.\n"
	print_table("instructions", 0)
	print "\n## Latency\n"
	print "Of single calls, replace with 100000 blocks of 16 .. 1024 bytes; interrupts and other"
	print "processes are in it.\n"
	latencies()
	if (n_failures) {
		print "\n## What failed\n"
		for (i = 1; i <= n_failures; i++)
			print "- " failures[i]
	}
	chart("time")
	chart("memory")
}
