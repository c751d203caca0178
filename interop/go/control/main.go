// Drives a Nex node as a Go control client of April 2024 does: Go's own JSON of
// url.URL, generic claims made by nats-io/jwt, environments sealed by nats-io/nkeys.
//
// Usage: control NATS_URL ELF_FILE
//
// It prints a line for each check and ends with 1 at the first that fails. The
// Nex module itself cannot be had from a module proxy, so the structs below say
// again what its control API sends and reads; the libraries under them are those
// that it uses, in its versions.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

type envelope struct {
	PayloadType string          `json:"type"`
	Data        json.RawMessage `json:"data,omitempty"`
	Error       *string         `json:"error,omitempty"`
}

type deployRequest struct {
	Argv            []string   `json:"argv,omitempty"`
	Description     *string    `json:"description"`
	WorkloadType    string     `json:"type"`
	Location        *url.URL   `json:"location"`
	Essential       *bool      `json:"essential,omitempty"`
	WorkloadJwt     *string    `json:"workload_jwt"`
	Environment     *string    `json:"environment"`
	JsDomain        *string    `json:"jsdomain,omitempty"`
	SenderPublicKey *string    `json:"sender_public_key"`
	TargetNode      *string    `json:"target_node"`
	TriggerSubjects []string   `json:"trigger_subjects,omitempty"`
	RetryCount      *uint      `json:"retry_count,omitempty"`
	RetriedAt       *time.Time `json:"retried_at,omitempty"`
}

type stopRequest struct {
	WorkloadID  string `json:"workload_id"`
	WorkloadJwt string `json:"workload_jwt"`
	TargetNode  string `json:"target_node"`
}

type runResponse struct {
	Started bool   `json:"started"`
	ID      string `json:"id"`
	Issuer  string `json:"issuer"`
	Name    string `json:"name"`
}

type pingResponse struct {
	NodeID          string            `json:"node_id"`
	Version         string            `json:"version"`
	Uptime          string            `json:"uptime"`
	Tags            map[string]string `json:"tags,omitempty"`
	RunningMachines int               `json:"running_machines"`
}

type infoResponse struct {
	PublicXKey string `json:"public_xkey"`
	Machines   []struct {
		ID       string `json:"id"`
		Workload struct {
			Name string `json:"name"`
		} `json:"workload"`
	} `json:"machines"`
}

type stopResponse struct {
	Stopped bool `json:"stopped"`
}

func check(what string, err error) {
	if err != nil {
		fmt.Printf("FAILED %s: %s\n", what, err)
		os.Exit(1)
	}
	fmt.Printf("ok %s\n", what)
}

func require(what string, holds bool, detail any) {
	if !holds {
		check(what, fmt.Errorf("%+v", detail))
	}
	check(what, nil)
}

type client struct {
	nc        *nats.Conn
	issuer    nkeys.KeyPair
	publisher nkeys.KeyPair
	node      string
	xkey      string
}

// ask sends a request and reads the envelope; a refusal is returned as text.
func (c *client) ask(subject string, body any, into any) (string, error) {
	raw := []byte{}
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return "", err
		}
	}
	msg, err := c.nc.Request(subject, raw, 10*time.Second)
	if err != nil {
		return "", err
	}
	var env envelope
	if err := json.Unmarshal(msg.Data, &env); err != nil {
		return "", err
	}
	if env.Error != nil {
		return *env.Error, nil
	}
	return "", json.Unmarshal(env.Data, into)
}

// claims makes a generic JWT as the control API's CreateWorkloadJwt does.
func (c *client) claims(key nkeys.KeyPair, name string, hash string) string {
	generic := jwt.NewGenericClaims(name)
	if hash != "" {
		generic.Data["hash"] = hash
	}
	token, err := generic.Encode(key)
	if err != nil {
		panic(err)
	}
	return token
}

func (c *client) seal(env map[string]string) string {
	raw, _ := json.Marshal(env)
	sealed, err := c.publisher.Seal(raw, c.xkey)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sealed)
}

func (c *client) request(name string) deployRequest {
	location, _ := url.Parse("nats://GOFILES/" + name)
	description, essential, domain := "made by Go", false, ""
	token := c.claims(c.issuer, name, "abc12345TODOmakethisreal")
	environment := c.seal(map[string]string{"greeting": "hello from Go"})
	sender, _ := c.publisher.PublicKey()
	node := c.node
	return deployRequest{
		Argv: []string{"one argument", "two"}, Description: &description, WorkloadType: "elf",
		Location: location, Essential: &essential, WorkloadJwt: &token, Environment: &environment,
		JsDomain: &domain, SenderPublicKey: &sender, TargetNode: &node,
	}
}

func main() {
	nc, err := nats.Connect(os.Args[1])
	check("connect", err)
	defer nc.Close()
	c := &client{nc: nc}
	c.issuer, _ = nkeys.CreateAccount()
	c.publisher, _ = nkeys.CreateCurveKeys()
	issuer, _ := c.issuer.PublicKey()

	js, _ := nc.JetStream()
	store, err := js.CreateObjectStore(&nats.ObjectStoreConfig{Bucket: "GOFILES"})
	check("object store", err)
	program, err := os.ReadFile(os.Args[2])
	check("read program", err)
	_, err = store.PutBytes("echo", program)
	check("upload", err)

	logs, _ := nc.SubscribeSync("$NEX.logs.default.>")
	events, _ := nc.SubscribeSync("$NEX.events.>")
	nc.Flush()

	var ping pingResponse
	refusal, err := c.ask("$NEX.PING", nil, &ping)
	check("ping", err)
	require("ping answers", refusal == "" && strings.HasPrefix(ping.NodeID, "N"), ping)
	require("unsafe tag", ping.Tags["nex.unsafe"] == "true" && ping.Tags["nex.os"] == "linux", ping.Tags)
	c.node = ping.NodeID
	var info infoResponse
	_, err = c.ask("$NEX.INFO.default."+c.node, nil, &info)
	check("info", err)
	c.xkey = info.PublicXKey

	var run runResponse
	refusal, err = c.ask("$NEX.DEPLOY.default."+c.node, c.request("echo"), &run)
	check("deploy", err)
	require("deploy answers", refusal == "" && run.Started && run.Name == "echo" && run.Issuer == issuer, refusal)

	wanted := map[string]bool{"[one argument]": false, "GREETING=hello from Go": false}
	deadline := time.Now().Add(10 * time.Second)
	for left := len(wanted); left > 0; {
		msg, err := logs.NextMsg(time.Until(deadline))
		check("a log line", err)
		var line struct {
			Text  string `json:"text"`
			Level string `json:"level"`
			ID    string `json:"id"`
		}
		check("log line is JSON", json.Unmarshal(msg.Data, &line))
		require("log line is its workload's", line.ID == run.ID, line)
		for text, seen := range wanted {
			if !seen && strings.Contains(line.Text, text) {
				wanted[text], left = true, left-1
			}
		}
	}
	for {
		msg, err := events.NextMsg(10 * time.Second)
		check("an event", err)
		if strings.HasSuffix(msg.Subject, ".workload_started") {
			break
		}
	}

	_, err = c.ask("$NEX.INFO.default."+c.node, nil, &info)
	check("info of the namespace", err)
	require("lists the workload", len(info.Machines) == 1 && info.Machines[0].ID == run.ID, info)
	var other infoResponse
	_, err = c.ask("$NEX.INFO.other."+c.node, nil, &other)
	check("info of another namespace", err)
	require("lists nothing", len(other.Machines) == 0, other)
	msg, err := nc.Request("$NEX.WPING.default.ECHO", nil, 2*time.Second)
	check("workload ping by name, whatever its case", err)
	require("names the workload", strings.Contains(string(msg.Data), run.ID), string(msg.Data))
	inbox, _ := nc.SubscribeSync(nats.NewInbox())
	nc.PublishRequest("$NEX.WPING.other", inbox.Subject, nil)
	_, err = inbox.NextMsg(300 * time.Millisecond)
	require("no workload ping for another namespace", err == nats.ErrTimeout, err)

	var stop stopResponse
	stranger, _ := nkeys.CreateAccount()
	refuses := func(what, namespace, id, token, says string) {
		refusal, err := c.ask("$NEX.STOP."+namespace+"."+c.node, stopRequest{id, token, c.node}, &stop)
		check(what, err)
		require(what+" is refused", refusal != "" && strings.Contains(refusal, says), refusal)
	}
	refuses("stop from another namespace", "other", run.ID, c.claims(c.issuer, "echo", ""), "No such workload")
	refuses("stop of an unknown id", "default", "cohvl8bl5c0s73b2rcs0", c.claims(c.issuer, "echo", ""), "No such workload")
	refuses("stop by a stranger", "default", run.ID, c.claims(stranger, "echo", ""), "workload_jwt")
	refuses("stop of another name", "default", run.ID, c.claims(c.issuer, "other", ""), "workload_jwt")
	refuses("stop without claims", "default", run.ID, "x.y.z", "workload_jwt")
	refusal, err = c.ask("$NEX.STOP.default."+c.node, stopRequest{run.ID, c.claims(c.issuer, "echo", ""), c.node}, &stop)
	check("stop", err)
	require("stopped", refusal == "" && stop.Stopped, refusal)

	missing := c.request("nowhere")
	refusal, err = c.ask("$NEX.DEPLOY.default."+c.node, missing, &run)
	check("deploy of what does not exist", err)
	require("is refused", strings.Contains(refusal, "nowhere"), refusal)
	duck := struct {
		Success bool `json:"success"`
	}{}
	_, err = c.ask("$NEX.LAMEDUCK."+c.node, nil, &duck)
	check("lame duck", err)
	refusal, err = c.ask("$NEX.DEPLOY.default."+c.node, c.request("echo"), &run)
	check("deploy to a lame duck", err)
	require("is refused by the lame duck", strings.Contains(refusal, "lame duck"), refusal)
	fmt.Println("all checks passed")
}
