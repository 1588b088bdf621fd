package inject

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"usersecrets.dev/operator/api/v1alpha1"
)

// MaxMountPathLength is the longest mount path, in bytes. It leaves room for
// the longest key below Linux's PATH_MAX of 4096.
const MaxMountPathLength = 1024

// systemPaths belong to the kernel in every container.
var systemPaths = []string{"/proc", "/sys", "/dev"}

func parseMountPath(annotations map[string]string) (string, error) {
	text, ok := annotations[v1alpha1.MountPathAnnotation]
	if !ok {
		return v1alpha1.DefaultMountPath, nil
	}
	text = strings.TrimSpace(text)
	if err := checkMountPath(text); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMountPath, err)
	}
	return text, nil
}

func checkMountPath(p string) error {
	switch {
	case len(p) > MaxMountPathLength:
		return fmt.Errorf("%d characters, at most %d are allowed", len(p), MaxMountPathLength)
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("it has a control character or is not UTF-8: write a plain path such as %q", v1alpha1.DefaultMountPath)
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf(`no absolute path: begin it with "/", as in %q`, v1alpha1.DefaultMountPath)
	case strings.Contains(p, ":"):
		return fmt.Errorf(`it has a ":", which container runtimes take for an option: choose a path without`)
	case p == "/":
		return fmt.Errorf(`"/" would hide the container's own files: choose a folder, such as %q`, v1alpha1.DefaultMountPath)
	case path.Clean(p) != p:
		return fmt.Errorf(`write it without "..", ".", "//" and a "/" at the end`)
	}
	for _, system := range systemPaths {
		if within(p, system) {
			return fmt.Errorf("%s belongs to the system: choose a path outside of /proc, /sys and /dev", system)
		}
	}
	return nil
}

// overlap says whether one mount path is the other, or lies within it, as
// written or as the container finds them: /var/run is a link to /run (Filesystem
// Hierarchy Standard 3.0, section 5.13), except where /var is a volume itself.
func overlap(a, b string) bool {
	a, b = rooted(a), rooted(b)
	return nested(a, b) || nested(linked(a), linked(b))
}

func nested(a, b string) bool {
	return within(a, b) || within(b, a)
}

// within says whether clean path p is folder or lies in it.
func within(p, folder string) bool {
	return folder == "/" || p == folder || strings.HasPrefix(p, folder+"/")
}

// rooted is a clean mount path; the kubelet takes relative ones from "/".
func rooted(p string) string {
	return path.Clean("/" + p)
}

// linked is where a clean path leads once /var/run is a link.
func linked(p string) string {
	if within(p, "/var/run") {
		return strings.TrimPrefix(p, "/var")
	}
	return p
}
