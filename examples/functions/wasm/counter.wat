;; Counts its calls in the key-value store, so that the number outlives the function: answers
;; 1, 2, … Two calls at the same moment may count as one. A component of WASI 0.2, by hand:
;; what a compiler makes of a few lines of Rust with wasi:keyvalue.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $error'))
    (export "error" (type $its-error (eq $error')))
    (export "output-stream" (type $out (sub resource)))
    (type $failure' (variant (case "last-operation-failed" (own $its-error)) (case "closed")))
    (export "stream-error" (type $failure (eq $failure')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8))
        (result (result (error $failure)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $out'))
    (export "output-stream" (type $out (eq $out')))
    (export "get-stdout" (func (result (own $out))))))
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $refusal' (variant
      (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $refusal (eq $refusal')))
    (export "open"
      (func (param "identifier" string) (result (result (own $bucket) (error $refusal)))))
    (export "[method]bucket.get"
      (func (param "self" (borrow $bucket)) (param "key" string)
        (result (result (option (list u8)) (error $refusal)))))
    (export "[method]bucket.set"
      (func (param "self" (borrow $bucket)) (param "key" string) (param "value" (list u8))
        (result (result (error $refusal)))))))

  ;; Memory, and the one place for what is read: nothing is read while the last is needed.
  (core module $Memory
    (memory (export "memory") 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $Memory))
  (core func $open (canon lower (func $store "open")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $get (canon lower (func $store "[method]bucket.get")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $set (canon lower (func $store "[method]bucket.set")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))

  (core module $Main
    (import "memory" "memory" (memory 4))
    (import "host" "open" (func $open (param i32 i32 i32)))
    (import "host" "get" (func $get (param i32 i32 i32 i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    ;; 0: the result of a call, not 0 if it failed; 108 to 128: the digits.
    (data (i32.const 64) "default")
    (data (i32.const 72) "count")

    ;; 0 when all went well, as the caller has it.
    (func (export "run") (result i32)
      (local $bucket i32) (local $count i64) (local $at i32) (local $end i32)
      (call $open (i32.const 64) (i32.const 7) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (local.set $bucket (i32.load (i32.const 4)))

      ;; What was counted before, if anything was.
      (call $get (local.get $bucket) (i32.const 72) (i32.const 5) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (if (i32.load8_u (i32.const 4)) (then
        (local.set $at (i32.load (i32.const 8)))
        (local.set $end (i32.add (local.get $at) (i32.load (i32.const 12))))
        (block $read (loop $digit
          (br_if $read (i32.eq (local.get $at) (local.get $end)))
          (local.set $count (i64.add
            (i64.mul (local.get $count) (i64.const 10))
            (i64.load8_u (local.get $at))))
          (local.set $count (i64.sub (local.get $count) (i64.const 48)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $digit)))))

      ;; One more, as digits from the last to the first.
      (local.set $count (i64.add (local.get $count) (i64.const 1)))
      (local.set $at (i32.const 128))
      (loop $digit
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (i64.store8 (local.get $at)
          (i64.add (i64.const 48) (i64.rem_u (local.get $count) (i64.const 10))))
        (local.set $count (i64.div_u (local.get $count) (i64.const 10)))
        (br_if $digit (i64.ne (local.get $count) (i64.const 0))))
      (local.set $end (i32.sub (i32.const 128) (local.get $at)))
      (call $set (local.get $bucket) (i32.const 72) (i32.const 5)
        (local.get $at) (local.get $end) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (call $write (call $get-stdout) (local.get $at) (local.get $end) (i32.const 0))
      (i32.load8_u (i32.const 0))))
  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "open" (func $open))
      (export "get" (func $get))
      (export "set" (func $set))
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
