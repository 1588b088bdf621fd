package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelpSpeaksAsKubectl(t *testing.T) {
	for name, args := range map[string][]string{
		"root": {}, "flag": {"--help"}, "create": {"create", "--help"}, "seal": {"seal", "-h"}, "list": {"list", "--help"},
		"onboard": {"help", "onboard"}, "version": {"version", "--help"}, "reseal": {"reseal", "--help"},
		"keys": {"keys"}, "keys list": {"keys", "list", "-h"}, "keys rotate": {"keys", "rotate", "-h"}, "keys rewrap-root": {"keys", "rewrap-root", "-h"},
		"keys backup": {"keys", "backup", "-h"}, "keys restore": {"help", "keys", "restore"},
	} {
		t.Run(name, func(t *testing.T) {
			got := newOfflineFixture(t).run(args...)
			if got.Code != 0 || got.ErrOut != "" {
				t.Fatalf("help: got code %d, %s", got.Code, got.ErrOut)
			}
			if !strings.Contains(got.Out, "Examples:\n  ") || !strings.Contains(got.Out, "\nUsage:\n  kubectl usersecret ") {
				t.Errorf("help without examples or usage:\n%s", got.Out)
			}
			if strings.Contains(got.Out, "kubectl-usersecret") || strings.Contains(got.Out, "--client-certificate") || strings.Contains(got.Out, "--from-literal") {
				t.Errorf("help names the binary, or options that are not its own:\n%s", got.Out)
			}
		})
	}
}

func TestOptionsAreKubectls(t *testing.T) {
	got := newOfflineFixture(t).run("options")
	for _, flag := range []string{"--namespace", "--context", "--kubeconfig", "--as string", "--server", "--request-timeout"} {
		if !strings.Contains(got.Out, flag) {
			t.Errorf("option %s is missing:\n%s", flag, got.Out)
		}
	}
}

func TestUnknownCommands(t *testing.T) {
	f := newOfflineFixture(t)
	wantRefusal(t, f.run("frobnicate"), "unknown command: see 'kubectl usersecret --help'")
	wantRefusal(t, f.run("sael"), `unknown command: did you mean "seal"?`)
	wantRefusal(t, f.run("--bogus"), "unknown flag: see 'kubectl usersecret --help'")
	wantRefusal(t, f.run("create", "x", "--provder=openai"), "unknown flag: did you mean --provider?")
	wantRefusal(t, f.run("create", "x", "--tags=team"), "unknown flag: did you mean --tag?")
	wantRefusal(t, f.run("create", "x", "--from-litral=x"), "unknown flag: see 'kubectl usersecret create --help'")
}

// A value that stands where a command, an argument or a flag should is in none
// of the answers, which the fixture looks for.
func TestMisplacedValuesAreNotRepeated(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"as a command":               {[]string{canary}, "unknown command: see 'kubectl usersecret --help'"},
		"as a flag":                  {[]string{"--" + canary}, "unknown flag: see 'kubectl usersecret --help'"},
		"as a flag of create":        {[]string{"create", "x", "--" + canary}, "unknown flag: see 'kubectl usersecret create --help'"},
		"as a short flag":            {[]string{"create", "x", "-v" + canary}, "unknown flag: see 'kubectl usersecret create --help'"},
		"as an argument of version":  {[]string{"version", canary}, "version takes no arguments: see 'kubectl usersecret version --help'"},
		"as an argument of options":  {[]string{"options", canary}, "options takes no arguments: see 'kubectl usersecret options --help'"},
		"as an argument of a script": {[]string{"completion", "bash", canary}, "bash takes no arguments: see 'kubectl usersecret completion bash --help'"},
		"as a name to list":          {[]string{"list", canary}, "list takes no name: 'kubectl get usersecret NAME' shows one"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, newOfflineFixture(t).run(tt.args...), tt.want)
		})
	}
	for name, args := range map[string][]string{"as a topic of help": {"help", canary}, "as a shell": {"completion", canary}} {
		t.Run(name, func(t *testing.T) {
			if got := newOfflineFixture(t).run(args...); got.Code != 0 || !strings.Contains(got.Out, "Usage:\n  kubectl usersecret ") {
				t.Errorf("got code %d and %q, want help", got.Code, got.Out)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	got := newOfflineFixture(t).run("version")
	if !strings.HasPrefix(got.Out, "Client Version: v0.1.0\nSealed Value Format: us1\n") {
		t.Errorf("version: got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"commands": {[]string{"__complete", "se"}, "seal\tSeal a value, and print it sealed\n:4\n"},
		"types":    {[]string{"__complete", "create", "x", "--type", "o"}, "api_key\noauth_token\nwebhook_secret\nconnection_string\ncustom\n:4\n"},
		"dry runs": {[]string{"__complete", "create", "x", "--dry-run", "s"}, "none\nserver\nclient\n:4\n"},
		"a name":   {[]string{"__complete", "seal", ""}, ":4\n"},
		"files":    {[]string{"__complete", "seal", "x", "--from-file", ""}, ":0\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, newOfflineFixture(t).run(tt.args...).Out); diff != "" {
				t.Errorf("completion (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("script", func(t *testing.T) {
		if got := newOfflineFixture(t).run("completion", "bash"); got.Code != 0 || !strings.Contains(got.Out, "kubectl-usersecret") {
			t.Errorf("the script: got code %d, %s", got.Code, got.ErrOut)
		}
	})
}
