package inject

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

// MaxPodBytes is how many bytes all values of a pod may have together: they
// share one Secret, which holds less than 1 MiB.
const MaxPodBytes = corev1.MaxSecretSize - 1

// EnvValue says whether a value can be an environment variable: text in UTF-8,
// which the container runtime's interface demands, without the NUL that would
// end it (POSIX.1, base definitions, chapter 8.1). The error is ErrEnvValue and
// tells nothing else of the value.
func EnvValue(value secretvalue.Value) error {
	switch text := value.Bytes(); {
	case bytes.IndexByte(text, 0) >= 0:
		return fmt.Errorf("%w: it holds a NUL byte: %s", ErrEnvValue, asVolume)
	case !utf8.Valid(text):
		return fmt.Errorf("%w: it is not UTF-8 text: %s", ErrEnvValue, asVolume)
	}
	return nil
}

const asVolume = "take it as a file, with " + v1alpha1.InjectAsAnnotation + `: "` + string(AsVolume) + `"`

// CheckTotal refuses, with ErrTooLarge, values whose sizes in bytes are more
// than MaxPodBytes together.
func CheckTotal(sizes []int) error {
	total := 0
	for _, size := range sizes {
		total += size
	}
	if total > MaxPodBytes {
		return fmt.Errorf("%w: %d bytes together, and at most %d fit: ask for fewer secrets in one pod", ErrTooLarge, total, MaxPodBytes)
	}
	return nil
}
