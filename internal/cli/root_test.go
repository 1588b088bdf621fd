package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelpSpeaksAsKubectl(t *testing.T) {
	for name, args := range map[string][]string{
		"root": {}, "flag": {"--help"}, "create": {"create", "--help"}, "seal": {"seal", "-h"}, "list": {"list", "--help"},
		"onboard": {"help", "onboard"}, "version": {"version", "--help"},
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
	wantRefusal(t, f.run("reveall"), `unknown command "reveall": see 'kubectl usersecret --help'`)
	wantRefusal(t, f.run("sael"), `unknown command "sael": did you mean "seal"?`)
	wantRefusal(t, f.run("--bogus"), "unknown flag --bogus: see 'kubectl usersecret --help'")
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
