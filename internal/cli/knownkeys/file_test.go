package knownkeys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/cli/knownkeys"
)

func open(t *testing.T, path string) *knownkeys.File {
	t.Helper()
	f, err := knownkeys.Open(path)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	return f
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

const line = "https://cluster.example:6443 alice-flows v1-3f9a2c1b SHA256:first alice\n"

func TestAddMakesAFileForItsUserAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usersecrets", "known_keys")
	if err := open(t, path).Add(key(nil)); err != nil {
		t.Fatalf("adding: %v", err)
	}
	for _, tt := range []struct {
		path string
		want fs.FileMode
	}{{path, 0o600}, {filepath.Dir(path), 0o700}} {
		info, err := os.Stat(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != tt.want {
			t.Errorf("mode of %s: got %o, want %o", filepath.Base(tt.path), got, tt.want)
		}
	}
	if got := read(t, path); !strings.HasPrefix(got, "# ") || !strings.HasSuffix(got, "\n"+line) {
		t.Errorf("a new file: got %q, want an explanation and %q", got, line)
	}
}

func TestAddKeepsWhatIsThere(t *testing.T) {
	tests := map[string]struct{ before, want string }{
		"ends in a newline":      {"# mine\n\n" + line, "# mine\n\n" + line},
		"ends without a newline": {strings.TrimSuffix(line, "\n"), line},
	}
	added := "https://cluster.example:6443 bob v1-3f9a2c1b SHA256:first alice\n"
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.before)
			if err := open(t, path).Add(key(func(k *knownkeys.Key) { k.Namespace = "bob" })); err != nil {
				t.Fatalf("adding: %v", err)
			}
			if diff := cmp.Diff(tt.want+added, read(t, path)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
		})
	}
}

// Owners are any text, and come back as they were.
func TestOwnersKeepTheirCharacters(t *testing.T) {
	for _, owner := range []string{"alice@example.com", "system:serviceaccount:ci:builder", "a b", "100%", "ä\t#", "x/y?z"} {
		path := filepath.Join(t.TempDir(), "known_keys")
		want := key(func(k *knownkeys.Key) { k.Owner = owner })
		if err := open(t, path).Add(want); err != nil {
			t.Fatalf("adding: %v", err)
		}
		if diff := cmp.Diff([]knownkeys.Key{want}, open(t, path).Keys()); diff != "" {
			t.Errorf("owner %q (-want +got):\n%s", owner, diff)
		}
	}
}

func TestReplaceForgetsOnlyContradictions(t *testing.T) {
	other := strings.Replace(line, "alice-flows", "other", 1)
	rotated := "https://cluster.example:6443 alice-flows v2-0badcafe SHA256:second alice\n"
	tests := map[string]struct {
		accepted knownkeys.Key
		want     string
	}{
		"a fingerprint": {
			accepted: key(func(k *knownkeys.Key) { k.Fingerprint = "SHA256:new" }),
			want:     "# mine\n" + other + rotated + strings.Replace(line, "first", "new", 1),
		},
		"an owner, with all keys of the one before": {
			accepted: key(func(k *knownkeys.Key) { k.Owner, k.Fingerprint = "bob", "SHA256:bob" }),
			want:     "# mine\n" + other + "https://cluster.example:6443 alice-flows v1-3f9a2c1b SHA256:bob bob\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, "# mine\n"+line+other+strings.TrimSuffix(rotated, "\n"))
			f := open(t, path)
			if err := f.Replace(tt.accepted); err != nil {
				t.Fatalf("replacing: %v", err)
			}
			if diff := cmp.Diff(tt.want, read(t, path)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if verdict, err := knownkeys.Compare(f.Keys(), tt.accepted); err != nil || verdict != knownkeys.Known {
				t.Errorf("the accepted key afterwards: got verdict %d, error %v; want it known", verdict, err)
			}
		})
	}
}

func TestReplaceFollowsALink(t *testing.T) {
	target := write(t, line)
	link := filepath.Join(t.TempDir(), "known_keys")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := open(t, link).Replace(key(func(k *knownkeys.Key) { k.Fingerprint = "SHA256:new" })); err != nil {
		t.Fatalf("replacing: %v", err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link: got mode %v, error %v; want it to be a link still", info.Mode(), err)
	}
	if got := read(t, target); !strings.Contains(got, "SHA256:new") {
		t.Errorf("the link's target was not written: %q", got)
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"too few fields": {"# mine\nhttps://cluster.example alice\n", "line 2 of PATH: it is no known key: it has 2 fields instead of 5; correct or delete that line"},
		"bad escape":     {strings.Replace(line, " alice\n", " %zz\n", 1), "line 1 of PATH: it is no known key: its owner is not percent-encoded; correct or delete that line"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := knownkeys.Open(path)
			if !errors.Is(err, knownkeys.ErrMalformed) {
				t.Fatalf("opening: got %v, want ErrMalformed", err)
			}
			if got, want := strings.ReplaceAll(err.Error(), path, "PATH"), "the file of known keys cannot be read: "+tt.want; got != want {
				t.Errorf("the message: got %s, want %s", got, want)
			}
		})
	}
}

func TestOpenRefusesAFolder(t *testing.T) {
	var refused *fs.PathError
	if _, err := knownkeys.Open(t.TempDir()); !errors.As(err, &refused) {
		t.Errorf("opening a folder: got %v, want the file system's error", err)
	}
}
