#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Python's own tests: those with threads and subprocesses as everybody runs them;
# those of its data types with all its memory from malloc, where it else takes
# large pieces and divides them itself.
#
# for extensions, subprocesses and threads, by tests that other people wrote
# needs /usr/bin/python3 /usr/lib/python3.11/test/test_dict.py
# probe python3 -c 0

# tests ENVIRONMENT MODULE ...
tests()
{
	local environment=$1 module status

	shift
	for module; do
		env $environment python3 -m test --timeout 300 --tempdir . \
			--junit-xml "$PWD/$module.xml" "$module" >&2
		status=$?
		echo "result $module status $status, $(python3 - "$module.xml" <<-'END'
			import sys, xml.etree.ElementTree
			cases = list(xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"))
			def having(tag):
			    return sorted(c.get("name") for c in cases if c.find(tag) is not None)
			print(len(cases), "tests,", len(having("skipped")), "skipped,",
			      "failed:", *(having("failure") + having("error") or ["none"]))
		END
		)"
	done
}

tests PYTHONHASHSEED=0 test_threading test_thread test_queue test_subprocess test_fork1 \
	test_ctypes test_gc
tests 'PYTHONHASHSEED=0 PYTHONMALLOC=malloc' test_json test_pickle test_dict test_list test_deque \
	test_bytes test_unicode test_re test_itertools test_xml_etree test_array test_zlib test_bz2
