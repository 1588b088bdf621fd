package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestStay(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	tests := map[string]struct {
		ctx   context.Context
		ended []error
		want  string
	}{
		"Ctrl-C":               {ctx: stopped},
		"the operator dies":    {ctx: context.Background(), ended: []error{errors.New("signal: killed")}, want: "the operator ended by itself, and everything is stopped: signal: killed; its log is in logs"},
		"the operator returns": {ctx: context.Background(), ended: []error{nil}, want: "the operator ended by itself, and everything is stopped: with exit code 0; its log is in logs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			for _, err := range tt.ended {
				ended <- err
			}
			got := ""
			if err := stay(tt.ctx, ended, "logs"); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A shell takes the instructions as they are printed but for their heading, and
// runs the command as alice.
func TestInstructionsCanBePasted(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "with a space")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const kubectl = "#!/bin/sh\necho \"$KUBECONFIG: $*\"\n"
	if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	printed := instructions(folder, map[string]string{"alice": "a config", "bob": "b", "admin": "c"})
	_, block, found := bytes.Cut([]byte(printed), []byte("shell:\n"))
	if !found {
		t.Fatalf("there is no heading:\n%s", printed)
	}
	shell := exec.Command("sh", "-eu")
	shell.Stdin = bytes.NewReader(block)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("running it: %v\n%s", err, out)
	}
	if want := "a config: usersecret create openai --provider openai\n"; string(out) != want {
		t.Errorf("it ran %q, want %q", out, want)
	}
}
