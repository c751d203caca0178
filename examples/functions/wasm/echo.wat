;; Answers with what it gets: copies standard input to standard output.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  ;; 0: address and length of a piece; 8: how much of it was read or written;
  ;; from 1024: 64 KiB for the piece itself.
  (memory (export "memory") 2)

  (func $check (param $error i32)
    (if (local.get $error) (then (call $proc_exit (i32.const 1)))))

  (func $piece (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length)))

  (func (export "_start")
    (local $at i32) (local $rest i32)
    (block $end
      (loop $read
        (call $piece (i32.const 1024) (i32.const 65536))
        (call $check
          (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $rest (i32.load (i32.const 8)))
        (br_if $end (i32.eqz (local.get $rest)))
        (local.set $at (i32.const 1024))
        (loop $write
          (call $piece (local.get $at) (local.get $rest))
          (call $check
            (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
          (local.set $rest (i32.sub (local.get $rest) (i32.load (i32.const 8))))
          (br_if $write (local.get $rest)))
        (br $read)))))
