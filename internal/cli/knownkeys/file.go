package knownkeys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// header explains a new file to whoever opens it.
const header = `# Sealing keys that 'kubectl usersecret' has seen: where, namespace, key id, fingerprint, owner.
# A key that changes under the same id, or an owner that changes, is refused until --accept-new-key.
`

// Files and folders are for their user alone: whoever can write one decides
// which keys are trusted.
const (
	fileMode   = 0o600
	folderMode = 0o700
)

// ErrMalformed says that a file is no known-keys file.
var ErrMalformed = errors.New("the file of known keys cannot be read")

// File is a file of known keys.
type File struct {
	path string
	text string
	keys []Key
}

// Open reads the file at path. One that does not exist is empty; it is made
// with the first key. Errors: ErrMalformed with the line's number, and those of
// the file system.
func Open(path string) (*File, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the known keys: %w", err)
	}
	f := &File{path: path, text: string(content)}
	for i, line := range strings.Split(f.text, "\n") {
		if isForPeople(line) {
			continue
		}
		key, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d of %s: %w; correct or delete that line", ErrMalformed, i+1, path, err)
		}
		f.keys = append(f.keys, key)
	}
	return f, nil
}

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Keys are the keys in the file, in its order.
func (f *File) Keys() []Key { return f.keys }

// Add appends a key to the file. It rewrites nothing, so that two programs may
// add at once.
func (f *File) Add(key Key) error {
	addition := key.line() + "\n"
	switch {
	case f.text == "":
		addition = header + addition
	case !strings.HasSuffix(f.text, "\n"):
		addition = "\n" + addition
	}
	if err := f.append(addition); err != nil {
		return fmt.Errorf("remembering a key: %w", err)
	}
	f.text += addition
	f.keys = append(f.keys, key)
	return nil
}

// Replace forgets whatever Compare would find to contradict key, and adds key.
// Other lines stay as they are.
func (f *File) Replace(key Key) error {
	var kept strings.Builder
	for line := range strings.Lines(f.text) {
		if !contradicts(line, key) {
			kept.WriteString(line)
		}
	}
	if text := kept.String(); text != "" && !strings.HasSuffix(text, "\n") {
		kept.WriteByte('\n')
	}
	kept.WriteString(key.line() + "\n")
	if err := f.rewrite(kept.String()); err != nil {
		return fmt.Errorf("replacing a known key: %w", err)
	}
	replaced, err := Open(f.path)
	if err != nil {
		return err
	}
	*f = *replaced
	return nil
}

func contradicts(line string, key Key) bool {
	if isForPeople(line) {
		return false
	}
	k, err := parseLine(line)
	return err == nil && k.samePlace(key) && contradiction(k, key) != nil
}

func isForPeople(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

func (f *File) append(text string) (err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), folderMode); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.WriteString(text)
	return err
}

// rewrite puts a whole new file in the place of the old one, so that a crash
// leaves one or the other. Where the path is a link, the file that it leads to
// is replaced, and the link stays.
func (f *File) rewrite(text string) (err error) {
	path := f.path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
