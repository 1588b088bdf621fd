package inject_test

import (
	"math"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/secretvalue"
)

func TestEnvValue(t *testing.T) {
	const remedy = `: take it as a file, with usersecrets.dev/inject-as: "volume"`
	tests := map[string]struct {
		value       string
		wantMessage string
	}{
		"text":          {value: "sk-1234"},
		"letters":       {value: "schlüssel\n"},
		"equals":        {value: "a=b"},
		"NUL":           {value: "sk\x00CANARY", wantMessage: "value cannot be an environment variable: it holds a NUL byte" + remedy},
		"binary":        {value: "sk\xffCANARY", wantMessage: "value cannot be an environment variable: it is not UTF-8 text" + remedy},
		"half a letter": {value: "CANARY\xc3", wantMessage: "value cannot be an environment variable: it is not UTF-8 text" + remedy},
		"surrogate":     {value: "\xed\xa0\x80", wantMessage: "value cannot be an environment variable: it is not UTF-8 text" + remedy},
		"binary and NUL": {
			value:       "\xff\x00",
			wantMessage: "value cannot be an environment variable: it holds a NUL byte" + remedy,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := inject.EnvValue(secretvalue.FromString(tt.value))
			if tt.wantMessage == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			assertRefusal(t, err, tt.wantMessage, inject.ErrEnvValue)
		})
	}
}

func TestCheckTotal(t *testing.T) {
	tests := map[string]struct {
		sizes       []int
		wantMessage string
	}{
		"none":               {},
		"15 of the largest":  {sizes: repeated(15, 64<<10)},
		"one below":          {sizes: append(repeated(15, 64<<10), 64<<10-1)},
		"1 MiB":              {sizes: repeated(16, 64<<10), wantMessage: "values too large: 1048576 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod"},
		"64 of the largest":  {sizes: repeated(64, 64<<10), wantMessage: "values too large: 4194304 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod"},
		"one over by itself": {sizes: []int{math.MaxInt32}, wantMessage: "values too large: 2147483647 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := inject.CheckTotal(tt.sizes)
			if tt.wantMessage == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			assertRefusal(t, err, tt.wantMessage, inject.ErrTooLarge)
		})
	}
	if inject.MaxPodBytes >= corev1.MaxSecretSize {
		t.Errorf("MaxPodBytes = %d does not fit into a Secret", inject.MaxPodBytes)
	}
}

func repeated(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}
