;; A command of WASI 0.2. Answers with its payload, or does what its first byte says:
;; t traps, f says that it failed, l computes without end, e writes the payload to standard error.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $error'))
    (export "error" (type $its-error (eq $error')))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (type $failure' (variant (case "last-operation-failed" (own $its-error)) (case "closed")))
    (export "stream-error" (type $failure (eq $failure')))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $in)) (param "len" u64)
        (result (result (list u8) (error $failure)))))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8))
        (result (result (error $failure)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $in'))
    (export "input-stream" (type $in (eq $in')))
    (export "get-stdin" (func (result (own $in))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $out'))
    (export "output-stream" (type $out (eq $out')))
    (export "get-stdout" (func (result (own $out))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output (type $out'))
    (export "output-stream" (type $out (eq $out')))
    (export "get-stderr" (func (result (own $out))))))
  ;; Memory, and the one place for what is read.
  (core module $Memory
    (memory (export "memory") 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $Memory))
  (core func $get-stdin (canon lower (func $stdin "get-stdin")))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
    (memory (core memory $memory "memory"))
    (realloc (core func $memory "realloc"))))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))
  (core module $Main
    (import "host" "get-stdin" (func $get-stdin (result i32)))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "get-stderr" (func $get-stderr (result i32)))
    (import "host" "read" (func $read (param i32 i64 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "memory" "memory" (memory 4))
    ;; Writes in pieces of at most 4096 bytes, which is all that the interface takes at once.
    (func $say (param $stream i32) (param $at i32) (param $length i32) (local $piece i32)
      (loop $more
        (if (i32.eqz (local.get $length)) (then return))
        (local.set $piece (select (i32.const 4096) (local.get $length)
          (i32.gt_u (local.get $length) (i32.const 4096))))
        (call $write (local.get $stream) (local.get $at) (local.get $piece) (i32.const 32))
        (if (i32.load8_u (i32.const 32)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (local.get $piece)))
        (local.set $length (i32.sub (local.get $length) (local.get $piece)))
        (br $more)))
    (func (export "run") (result i32) (local $in i32) (local $out i32) (local $first i32)
      (local.set $in (call $get-stdin))
      (local.set $out (call $get-stdout))
      (loop $more
        (call $read (local.get $in) (i64.const 65536) (i32.const 0))
        ;; Anything but bytes is the end.
        (if (i32.load8_u (i32.const 0)) (then (return (i32.const 0))))
        (local.set $first (i32.load8_u (i32.load (i32.const 4))))
        (if (i32.eq (local.get $first) (i32.const 116)) (then unreachable)) ;; t
        (if (i32.eq (local.get $first) (i32.const 102)) (then (return (i32.const 1)))) ;; f
        (if (i32.eq (local.get $first) (i32.const 108)) ;; l
          (then (loop $for_ever (br $for_ever))))
        (if (i32.eq (local.get $first) (i32.const 101)) ;; e
          (then (local.set $out (call $get-stderr))))
        (call $say (local.get $out) (i32.load (i32.const 4)) (i32.load (i32.const 8)))
        (br $more))
      unreachable))
  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "get-stdin" (func $get-stdin))
      (export "get-stdout" (func $get-stdout))
      (export "get-stderr" (func $get-stderr))
      (export "read" (func $read))
      (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
