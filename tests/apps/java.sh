#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A JVM, which compiles its program first: threads that come and go, direct buffers,
# zlib, processes that it starts, with two of its collectors.
#
# for a virtual machine with many threads of its own, that starts processes
# needs java javac
# probe java -version

cat >Main.java <<'END'
import java.nio.*;
import java.security.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.zip.*;

public class Main {
	static String hash(byte[] data) throws Exception {
		byte[] sum = MessageDigest.getInstance("SHA-256").digest(data);
		return HexFormat.of().formatHex(sum).substring(0, 32);
	}

	static byte[] packed(int seed) throws Exception {
		byte[] text = new byte[200000], out = new byte[300000], back = new byte[200000];
		for (int i = 0; i < text.length; i++)
			text[i] = (byte) (i * (seed + 3) >> 5);
		Deflater deflater = new Deflater(seed % 9 + 1);
		deflater.setInput(text);
		deflater.finish();
		int size = deflater.deflate(out);
		deflater.end();
		Inflater inflater = new Inflater();
		inflater.setInput(out, 0, size);
		inflater.inflate(back);
		inflater.end();
		if (!Arrays.equals(text, back))
			throw new Exception("zlib");
		return Arrays.copyOf(out, size);
	}

	static long buffers(int seed) {
		long sum = 0;
		List<ByteBuffer> list = new ArrayList<>();
		for (int i = 0; i < 200; i++) {
			ByteBuffer b = ByteBuffer.allocateDirect(1 + (i * 7919 + seed) % 60000);
			b.put(b.capacity() - 1, (byte) i);
			list.add(b);
			if (i % 3 == 0)
				list.remove(list.size() / 2);
		}
		for (ByteBuffer b : list)
			sum = sum * 31 + b.get(b.capacity() - 1) + b.capacity();
		return sum;
	}

	static String child(int n) throws Exception {
		Process p = new ProcessBuilder("sh", "-c", "echo child " + n + "; exit " + n % 5)
			.start();
		String text = new String(p.getInputStream().readAllBytes()).trim();
		return text + " " + p.waitFor();
	}

	public static void main(String[] args) throws Exception {
		for (int round = 0; round < 3; round++) {
			List<Callable<String>> jobs = new ArrayList<>();
			for (int i = 0; i < 24; i++) {
				int n = round * 24 + i;
				jobs.add(() -> hash(packed(n)) + " " + buffers(n) + " " + child(n));
			}
			ExecutorService pool = Executors.newFixedThreadPool(6);
			StringBuilder all = new StringBuilder();
			for (Future<String> f : pool.invokeAll(jobs))
				all.append(f.get()).append('\n');
			pool.shutdown();
			System.out.println("result " + args[0] + "-" + round + " "
				+ hash(all.toString().getBytes()));
			List<Thread> threads = new ArrayList<>();
			for (int i = 0; i < 100; i++) {
				Thread t = new Thread(() -> buffers(1));
				t.start();
				threads.add(t);
			}
			for (Thread t : threads)
				t.join();
			System.gc();
		}
	}
}
END
javac Main.java || exit
for collector in Serial G1; do
	timeout 120 java -Xshare:auto -Xmx256m -XX:+Use${collector}GC Main "$collector" || exit
done
# NativeMemoryTracking puts a header of the JVM's before each of its blocks.
timeout 120 java -XX:NativeMemoryTracking=summary -Xcheck:jni -Xmx256m -XX:+UseSerialGC Main tracked
