// An agent of the old protocol, as the Go node of April 2024 launches it without a
// virtual machine: no credentials, the artifact from the object bucket NEXCACHE.
//
// It finds its node in NEX_WORKLOADID, NEX_NODE_NATS_HOST and NEX_NODE_NATS_PORT,
// runs one ELF program, and ends when that is undeployed. Every way to read an
// object is tried; a deploy is refused with the first that goes wrong.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	levelError = 2
	levelInfo  = 4
)

type deployRequest struct {
	Argv         []string          `json:"argv,omitempty"`
	Environment  map[string]string `json:"environment"`
	Hash         string            `json:"hash"`
	Namespace    string            `json:"namespace"`
	TotalBytes   int64             `json:"total_bytes"`
	WorkloadName string            `json:"workload_name"`
	WorkloadType string            `json:"workload_type"`
}

type deployResponse struct {
	Accepted bool   `json:"accepted"`
	Message  string `json:"message,omitempty"`
}

type agent struct {
	id      string
	started time.Time
	nc      *nats.Conn
	store   nats.ObjectStore

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "legacy-agent:", err)
		os.Exit(1)
	}
}

func run() error {
	a := &agent{id: os.Getenv("NEX_WORKLOADID"), started: time.Now().UTC()}
	url := fmt.Sprintf("nats://%s:%s", os.Getenv("NEX_NODE_NATS_HOST"), os.Getenv("NEX_NODE_NATS_PORT"))
	ended := make(chan struct{})
	nc, err := nats.Connect(url,
		nats.MaxReconnects(0),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			fmt.Fprintln(os.Stderr, "legacy-agent: NATS:", err)
		}))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	a.nc = nc
	js, err := nc.JetStream()
	if err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	// The old agent binds the bucket first of all, before anything is in it.
	if a.store, err = js.ObjectStore("NEXCACHE"); err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	if _, err = nc.Subscribe(a.subject("deploy"), a.deploy); err != nil {
		return err
	}
	if _, err = nc.Subscribe(a.subject("undeploy"), a.undeploy); err != nil {
		return err
	}
	message := "Metadata obtained from no-sandbox environment"
	hello, _ := json.Marshal(map[string]any{"id": a.id, "start_time": a.started, "message": message})
	reply, err := nc.Request(a.subject("handshake"), hello, 5*time.Second)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if string(reply.Data) != "{}" {
		return fmt.Errorf("handshake answered %q", reply.Data)
	}
	a.event("agent_started", map[string]any{"agent_version": "legacy"})
	<-ended
	a.stop()
	return nil
}

func (a *agent) subject(kind string) string { return fmt.Sprintf("agentint.%s.%s", a.id, kind) }

func (a *agent) log(source string, level int, text string) {
	body, _ := json.Marshal(map[string]any{"source": source, "level": level, "text": text})
	_ = a.nc.Publish(a.subject("logs"), body)
}

func (a *agent) event(kind string, data map[string]any) {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	body, _ := json.Marshal(map[string]any{
		"specversion": "1.0", "id": hex.EncodeToString(id), "source": a.id, "type": kind,
		"time": time.Now().UTC(), "datacontenttype": "application/json", "data": data,
	})
	_ = a.nc.Publish(a.subject("events."+kind), body)
}

func (a *agent) deploy(m *nats.Msg) {
	var request deployRequest
	err := json.Unmarshal(m.Data, &request)
	if err == nil && request.WorkloadType != "elf" {
		err = fmt.Errorf("cannot run %q", request.WorkloadType)
	}
	var file string
	if err == nil {
		file, err = a.fetch(&request)
	}
	if err == nil {
		err = a.start(&request, file)
	}
	response := deployResponse{Accepted: err == nil, Message: "Workload deployed"}
	if err != nil {
		response.Message = err.Error()
	}
	body, _ := json.Marshal(response)
	_ = m.Respond(body)
	if err == nil {
		a.log("nex-agent", levelInfo, fmt.Sprintf("Workload %s deployed", request.WorkloadName))
		a.event("workload_started", map[string]any{"workload_name": request.WorkloadName, "code": 0})
	}
}

// fetch reads the artifact in every way that the library has.
func (a *agent) fetch(request *deployRequest) (string, error) {
	info, err := a.store.GetInfo(request.WorkloadName)
	if err != nil {
		return "", fmt.Errorf("info: %w", err)
	}
	if int64(info.Size) != request.TotalBytes {
		return "", fmt.Errorf("info: %d bytes instead of %d", info.Size, request.TotalBytes)
	}
	if _, err = a.store.GetInfo("something-else"); !errors.Is(err, nats.ErrObjectNotFound) {
		return "", fmt.Errorf("info of something else: %v", err)
	}
	objects, err := a.store.List()
	if err != nil || len(objects) != 1 || objects[0].Name != request.WorkloadName {
		return "", fmt.Errorf("list: %v %v", objects, err)
	}
	status, err := a.store.Status()
	if err != nil || status.Bucket() != "NEXCACHE" || !status.Sealed() {
		return "", fmt.Errorf("status: %v %v", status, err)
	}
	object, err := a.store.Get(request.WorkloadName)
	if err != nil {
		return "", fmt.Errorf("get: %w", err)
	}
	content, err := io.ReadAll(object)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	if err = object.Close(); err != nil {
		return "", fmt.Errorf("close: %w", err)
	}
	sum := sha256.Sum256(content)
	if hex.EncodeToString(sum[:]) != request.Hash {
		return "", fmt.Errorf("hash of %d bytes is not the announced one", len(content))
	}
	file := filepath.Join(os.TempDir(), "workload-"+request.WorkloadName)
	if err = a.store.GetFile(request.WorkloadName, file); err != nil {
		return "", fmt.Errorf("get file: %w", err)
	}
	again, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(again, content) {
		return "", fmt.Errorf("file differs: %v", err)
	}
	return file, os.Chmod(file, 0o700)
}

func (a *agent) start(request *deployRequest, file string) error {
	command := exec.Command(file, request.Argv...)
	command.Env = []string{}
	for key, value := range request.Environment {
		command.Env = append(command.Env, strings.ToUpper(key)+"="+value)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err = command.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	a.mu.Lock()
	a.process, a.exited = command.Process, exited
	a.mu.Unlock()
	var pipes sync.WaitGroup
	for reader, level := range map[io.Reader]int{stdout: levelInfo, stderr: levelError} {
		pipes.Add(1)
		go func(reader io.Reader, level int) {
			defer pipes.Done()
			lines := bufio.NewScanner(reader)
			for lines.Scan() {
				a.log(request.WorkloadName, level, lines.Text()+"\n")
			}
		}(reader, level)
	}
	go func() {
		pipes.Wait()
		_ = command.Wait()
		code := command.ProcessState.ExitCode()
		a.log("nex-agent", levelInfo, fmt.Sprintf("Workload %s exited", request.WorkloadName))
		a.event("workload_stopped", map[string]any{
			"workload_name": request.WorkloadName, "code": code,
			"message": fmt.Sprintf("Exited workload: %s; status: %d", request.WorkloadName, code),
		})
		_ = a.nc.Flush()
		close(exited)
	}()
	return nil
}

func (a *agent) stop() {
	a.mu.Lock()
	process, exited := a.process, a.exited
	a.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(2 * time.Second):
		_ = process.Kill()
		<-exited
	}
}

func (a *agent) undeploy(m *nats.Msg) {
	a.stop()
	_ = m.Respond(nil)
}
