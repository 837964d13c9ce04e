#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sqlite3 on a database of 200 MB with a cache of 100 MB: filled, indexed, joined,
# thinned, made anew by VACUUM, its integrity checked.
#
# for a library that asks malloc_usable_size and keeps its own account of memory
# needs sqlite3
# probe sqlite3 -version

set -o pipefail

sqlite3 -bail base.db >rows <<'END' || exit 1
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -100000;
pragma temp_store = memory;
create table t (id integer primary key, k integer, name text, data blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000)
insert into t select i, i * 7919 % 1000003, printf('name-%d-%x', i, i * 31),
	zeroblob(i % 900) from n;
create index t_k on t (k, name);
select 'result pages', * from pragma_page_count();
select 'result integrity-1', * from pragma_integrity_check();
select 'result join', count(*), sum(a.k * 1.0), max(b.name)
	from t a join t b on b.k = a.id * 7919 % 1000003;
select 'result group', count(*), sum(l) from
	(select k % 5003, sum(length(data)) l, group_concat(name) from t group by 1);
select 'result sort', sum(r * id % 1009) from
	(select id, row_number() over (order by name desc) r from t where id < 100000);
select 'result json', sum(length(j)) from
	(select json_group_array(json_object('id', id, 'name', name)) j from t group by k % 100);
delete from t where id % 16 != 0;
vacuum;
select 'result left', count(*), sum(k) from t;
select 'result integrity-2', * from pragma_integrity_check();
END
tr '|' ' ' <rows
sqlite3 base.db .dump | sha256sum | sed 's/^/result dump /'
echo "info megabytes-before-vacuum $(($(sed -n 's/^result pages|//p' rows) * 4096 / 1000000))"
