;; A command of WASI 0.2 that answers with the value of the key "the.key": the value itself,
;; "none" where there is none, or the text of the error.
(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $error' (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $error')))
    (export "open"
      (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.get"
      (func (param "self" (borrow $bucket)) (param "key" string)
        (result (result (option (list u8)) (error $error)))))))
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
  (core module $Memory
    (memory (export "memory") 2)
    (data (i32.const 512) "defaultthe.keynone")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $Memory))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))
  (core func $open (canon lower (func $store "open")
    (memory (core memory $memory "memory"))
    (realloc (core func $memory "realloc"))))
  (core func $get (canon lower (func $store "[method]bucket.get")
    (memory (core memory $memory "memory"))
    (realloc (core func $memory "realloc"))))
  (core module $Main
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "open" (func $open (param i32 i32 i32)))
    (import "host" "get" (func $get (param i32 i32 i32 i32)))
    (import "memory" "memory" (memory 2))
    (func $say (param $at i32) (param $length i32)
      (call $write (call $get-stdout) (local.get $at) (local.get $length) (i32.const 64)))
    (func (export "run") (result i32)
      (call $open (i32.const 512) (i32.const 7) (i32.const 0)) ;; "default"
      (if (i32.load8_u (i32.const 0)) (then unreachable))
      (call $get (i32.load (i32.const 4)) (i32.const 519) (i32.const 7) (i32.const 16)) ;; "the.key"
      (if (i32.load8_u (i32.const 16))
        (then ;; an error, which is the text
          (if (i32.ne (i32.load8_u (i32.const 20)) (i32.const 2)) (then unreachable))
          (call $say (i32.load (i32.const 24)) (i32.load (i32.const 28))))
        (else (if (i32.load8_u (i32.const 20))
          (then (call $say (i32.load (i32.const 24)) (i32.load (i32.const 28))))
          (else (call $say (i32.const 526) (i32.const 4)))))) ;; "none"
      (i32.const 0)))
  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))
      (export "open" (func $open))
      (export "get" (func $get))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
