;; Does what the first byte of its payload says; the rest is what it does it with.
;;
;;   =  answers with the rest             !  ends with exit code 3
;;   e  writes the rest to standard error o  answers with more and more, without end
;;   l  computes without end              m  takes memory until there is no more, then traps
;;   t  traps                             M  the same, and then answers "full"
;;   s  sleeps for 200 ms                 S  sleeps for an hour
;;   v  answers with its environment      a  answers with its arguments
;;   r  answers with 16 random bytes      c  answers with the time of day
;;   d  calls itself without end          p  asks for a file to be opened, answers with the number
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  ;; 0: a buffer's description, 8: a result, 16: another, 64: a subscription, 128: an event,
  ;; 1024: pointers, 8192: the payload and other bytes.
  (memory (export "memory") 4)
  (data (i32.const 256) "full")
  (func $say (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))
      (then unreachable)))
  (func $sleep (param $nanos i64)
    (i32.store8 (i32.const 72) (i32.const 0))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (local.get $nanos))
    (i32.store16 (i32.const 104) (i32.const 0))
    (if (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8))
      (then unreachable)))
  (func $dive (result i32) (i32.add (call $dive) (i32.const 1)))
  (global $first (mut i32) (i32.const 0))
  (func $is (param $letter i32) (result i32)
    (i32.eq (global.get $first) (local.get $letter)))
  (func (export "_start") (local $length i32)
    ;; All of standard input.
    (loop $more
      (i32.store (i32.const 0) (i32.add (i32.const 8192) (local.get $length)))
      (i32.store (i32.const 4) (i32.sub (i32.const 131072) (local.get $length)))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $length (i32.add (local.get $length) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8))))
    (if (i32.eqz (local.get $length)) (then return))
    (local.set $length (i32.sub (local.get $length) (i32.const 1)))
    (global.set $first (i32.load8_u (i32.const 8192)))
    (if (call $is (i32.const 61)) ;; =
      (then (call $say (i32.const 1) (i32.const 8193) (local.get $length))))
    (if (call $is (i32.const 101)) ;; e
      (then (call $say (i32.const 2) (i32.const 8193) (local.get $length))))
    (if (call $is (i32.const 33)) ;; !
      (then (call $exit (i32.const 3))))
    (if (call $is (i32.const 116)) ;; t
      (then unreachable))
    (if (call $is (i32.const 108)) ;; l
      (then (loop $for_ever (br $for_ever))))
    (if (call $is (i32.const 100)) ;; d
      (then (drop (call $dive))))
    (if (call $is (i32.const 111)) ;; o
      (then (loop $for_ever
        (call $say (i32.const 1) (i32.const 8192) (i32.const 4096))
        (br $for_ever))))
    (if (i32.or (call $is (i32.const 109)) (call $is (i32.const 77))) ;; m, M
      (then (loop $more
        (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
    (if (call $is (i32.const 109)) (then unreachable)) ;; m
    (if (call $is (i32.const 77)) ;; M
      (then (call $say (i32.const 1) (i32.const 256) (i32.const 4))))
    (if (call $is (i32.const 115)) ;; s
      (then (call $sleep (i64.const 200000000))))
    (if (call $is (i32.const 83)) ;; S
      (then (call $sleep (i64.const 3600000000000))))
    (if (call $is (i32.const 118)) ;; v
      (then
        (drop (call $environ_sizes (i32.const 8) (i32.const 16)))
        (drop (call $environ (i32.const 1024) (i32.const 8192)))
        (call $say (i32.const 1) (i32.const 8192) (i32.load (i32.const 16)))))
    (if (call $is (i32.const 97)) ;; a
      (then
        (drop (call $args_sizes (i32.const 8) (i32.const 16)))
        (drop (call $args (i32.const 1024) (i32.const 8192)))
        (call $say (i32.const 1) (i32.const 8192) (i32.load (i32.const 16)))))
    (if (call $is (i32.const 114)) ;; r
      (then
        (drop (call $random (i32.const 8192) (i32.const 16)))
        (call $say (i32.const 1) (i32.const 8192) (i32.const 16))))
    (if (call $is (i32.const 99)) ;; c
      (then
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8192)))
        (call $say (i32.const 1) (i32.const 8192) (i32.const 8))))
    (if (call $is (i32.const 112)) ;; p
      (then
        (i32.store (i32.const 8192)
          (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 4) (i32.const 0)
            (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8)))
        (call $say (i32.const 1) (i32.const 8192) (i32.const 4))))))
