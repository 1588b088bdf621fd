package inject_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/internal/inject"
)

const prefix = "usersecrets.dev/"

// makePod has init container "fetch" and containers "main" and "sidecar", and
// asks for openai; the pairs are further annotations of ours.
func makePod(pairs ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "step", Annotations: map[string]string{prefix + "inject": "openai"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "fetch"}},
			Containers:     []corev1.Container{{Name: "main"}, {Name: "sidecar"}},
		},
	}
	for i := 0; i < len(pairs); i += 2 {
		pod.Annotations[prefix+pairs[i]] = pairs[i+1]
	}
	return pod
}

func TestParseRequest(t *testing.T) {
	everyone := []string{"fetch", "main", "sidecar"}
	openai := []inject.Item{{Provider: "openai"}}
	tests := map[string]struct {
		pod         *corev1.Pod
		limits      inject.Limits
		wantRequest inject.Request
	}{
		"defaults": {
			pod:         makePod(),
			wantRequest: inject.Request{Items: openai, As: inject.AsVolume, MountPath: "/var/run/usersecrets", Containers: everyone},
		},
		"everything": {
			pod: makePod("inject-as", " env\n", "mount-path", " /secrets/x ", "ttl", " 90s\n", "containers", "main, fetch\n",
				"workflow", "nightly", "node", "train"),
			limits: inject.Limits{MaxTTL: time.Hour, DefaultTTL: time.Minute},
			wantRequest: inject.Request{
				Items: openai, As: inject.AsEnv, MountPath: "/secrets/x", TTL: 90 * time.Second,
				Containers: []string{"main", "fetch"}, Workflow: "nightly", Node: "train",
			},
		},
		"earlier injection's marks": {
			pod:         makePod("projection", "usersecret-old", "requested-by", "alice", "inject-as", "volume"),
			wantRequest: inject.Request{Items: openai, As: inject.AsVolume, MountPath: "/var/run/usersecrets", Containers: everyone},
		},
		"longest TTL": {
			pod:         makePod("ttl", "1h"),
			limits:      inject.Limits{MaxTTL: time.Hour},
			wantRequest: inject.Request{Items: openai, As: inject.AsVolume, MountPath: "/var/run/usersecrets", TTL: time.Hour, Containers: everyone},
		},
		"shortest TTL": {
			pod:         makePod("ttl", "1s"),
			wantRequest: inject.Request{Items: openai, As: inject.AsVolume, MountPath: "/var/run/usersecrets", TTL: time.Second, Containers: everyone},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.pod.DeepCopy()
			req, err := inject.ParseRequest(tt.pod, tt.limits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.wantRequest, req); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.pod); diff != "" {
				t.Errorf("the pod changed:\n%s", diff)
			}
		})
	}
}

// A pod that gives no TTL does not escape the limit.
func TestParseRequestUnaskedTTL(t *testing.T) {
	tests := map[string]struct {
		limits  inject.Limits
		wantTTL time.Duration
	}{
		"no limits":          {wantTTL: 0},
		"default":            {limits: inject.Limits{DefaultTTL: time.Minute}, wantTTL: time.Minute},
		"default and limit":  {limits: inject.Limits{DefaultTTL: time.Minute, MaxTTL: time.Hour}, wantTTL: time.Minute},
		"default over limit": {limits: inject.Limits{DefaultTTL: 2 * time.Hour, MaxTTL: time.Hour}, wantTTL: time.Hour},
		"limit":              {limits: inject.Limits{MaxTTL: time.Hour}, wantTTL: time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := inject.ParseRequest(makePod(), tt.limits)
			if err != nil || req.TTL != tt.wantTTL {
				t.Errorf("TTL = %v, %v; want %v", req.TTL, err, tt.wantTTL)
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	limits := inject.Limits{MaxTTL: time.Hour}
	tests := map[string]struct {
		annotations []string
		wantError   error
		wantMessage string
	}{
		"list":                  {[]string{"inject", "a,,b"}, inject.ErrInject, "malformed annotation usersecrets.dev/inject: element 2 is empty: remove the extra comma"},
		"misspelt annotation":   {[]string{"container", "main"}, inject.ErrUnknownAnnotation, `unknown annotation "usersecrets.dev/container": pods have usersecrets.dev/inject, usersecrets.dev/inject-as, usersecrets.dev/mount-path, usersecrets.dev/ttl, usersecrets.dev/containers, usersecrets.dev/workflow, usersecrets.dev/node`},
		"inject-as unknown":     {[]string{"inject-as", "file-CANARY"}, inject.ErrInjectAs, `malformed annotation usersecrets.dev/inject-as: it must be "volume" (files, the default) or "env" (environment variables)`},
		"inject-as upper case":  {[]string{"inject-as", "ENV"}, inject.ErrInjectAs, `malformed annotation usersecrets.dev/inject-as: it must be "volume" (files, the default) or "env" (environment variables)`},
		"inject-as empty":       {[]string{"inject-as", ""}, inject.ErrInjectAs, `malformed annotation usersecrets.dev/inject-as: it must be "volume" (files, the default) or "env" (environment variables)`},
		"ttl without unit":      {[]string{"ttl", "30"}, inject.ErrTTL, `malformed annotation usersecrets.dev/ttl: no duration: write it as "30m", "90s" or "2h30m"`},
		"ttl empty":             {[]string{"ttl", ""}, inject.ErrTTL, `malformed annotation usersecrets.dev/ttl: no duration: write it as "30m", "90s" or "2h30m"`},
		"ttl text":              {[]string{"ttl", "sk-CANARY"}, inject.ErrTTL, `malformed annotation usersecrets.dev/ttl: no duration: write it as "30m", "90s" or "2h30m"`},
		"ttl beyond all bounds": {[]string{"ttl", "9999999h"}, inject.ErrTTL, "malformed annotation usersecrets.dev/ttl: it is over this cluster's limit: give at most 1h0m0s"},
		"ttl zero":              {[]string{"ttl", "0"}, inject.ErrTTL, "malformed annotation usersecrets.dev/ttl: zero: give at least 1s, or leave the annotation out"},
		"ttl negative":          {[]string{"ttl", "-5m"}, inject.ErrTTL, "malformed annotation usersecrets.dev/ttl: -5m0s is negative: give at least 1s"},
		"ttl too short":         {[]string{"ttl", "999ms"}, inject.ErrTTL, "malformed annotation usersecrets.dev/ttl: 999ms is too short: give at least 1s"},
		"ttl over the limit":    {[]string{"ttl", "1h1s"}, inject.ErrTTL, "malformed annotation usersecrets.dev/ttl: 1h0m1s is over this cluster's limit: give at most 1h0m0s"},
		"path relative":         {[]string{"mount-path", "secrets"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: no absolute path: begin it with "/", as in "/var/run/usersecrets"`},
		"path empty":            {[]string{"mount-path", ""}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: no absolute path: begin it with "/", as in "/var/run/usersecrets"`},
		"path with colon":       {[]string{"mount-path", "/a:ro"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: it has a ":", which container runtimes take for an option: choose a path without`},
		"path root":             {[]string{"mount-path", "/"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: "/" would hide the container's own files: choose a folder, such as "/var/run/usersecrets"`},
		"path goes up":          {[]string{"mount-path", "/a/../etc"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: write it without "..", ".", "//" and a "/" at the end`},
		"path with slash":       {[]string{"mount-path", "/a/"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: write it without "..", ".", "//" and a "/" at the end`},
		"path with two slashes": {[]string{"mount-path", "//a"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: write it without "..", ".", "//" and a "/" at the end`},
		"path proc":             {[]string{"mount-path", "/proc"}, inject.ErrMountPath, "malformed annotation usersecrets.dev/mount-path: /proc belongs to the system: choose a path outside of /proc, /sys and /dev"},
		"path below sys":        {[]string{"mount-path", "/sys/x"}, inject.ErrMountPath, "malformed annotation usersecrets.dev/mount-path: /sys belongs to the system: choose a path outside of /proc, /sys and /dev"},
		"path below dev":        {[]string{"mount-path", "/dev/shm"}, inject.ErrMountPath, "malformed annotation usersecrets.dev/mount-path: /dev belongs to the system: choose a path outside of /proc, /sys and /dev"},
		"path with newline":     {[]string{"mount-path", "/a\nb"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: it has a control character or is not UTF-8: write a plain path such as "/var/run/usersecrets"`},
		"path not UTF-8":        {[]string{"mount-path", "/a\xff"}, inject.ErrMountPath, `malformed annotation usersecrets.dev/mount-path: it has a control character or is not UTF-8: write a plain path such as "/var/run/usersecrets"`},
		"path too long":         {[]string{"mount-path", "/" + strings.Repeat("a", 1024)}, inject.ErrMountPath, "malformed annotation usersecrets.dev/mount-path: 1025 characters, at most 1024 are allowed"},
		"containers empty":      {[]string{"containers", " "}, inject.ErrContainers, "malformed annotation usersecrets.dev/containers: the list is empty: name a container, or leave the annotation out for all"},
		"containers, comma":     {[]string{"containers", "main,"}, inject.ErrContainers, "malformed annotation usersecrets.dev/containers: element 2 is empty: remove the extra comma"},
		"containers unknown":    {[]string{"containers", "main,mian"}, inject.ErrContainers, `malformed annotation usersecrets.dev/containers: element 2 names "mian", which the pod does not have: it has ["fetch" "main" "sidecar"]`},
		"containers malformed":  {[]string{"containers", "sk-CANARY"}, inject.ErrContainers, `malformed annotation usersecrets.dev/containers: element 1 is no name of a container: the pod has ["fetch" "main" "sidecar"]`},
		"containers twice":      {[]string{"containers", "main,fetch,main"}, inject.ErrContainers, "malformed annotation usersecrets.dev/containers: elements 1 and 3 are the same: remove one"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := inject.ParseRequest(makePod(tt.annotations...), limits)
			assertRefusal(t, err, tt.wantMessage, tt.wantError)
			if diff := cmp.Diff(inject.Request{}, req); diff != "" {
				t.Errorf("a request in spite of it:\n%s", diff)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the refusal repeats the text: %v", err)
			}
		})
	}
}

// Without a limit there is still the longest time that can be reckoned with.
func TestParseRequestLongestTTL(t *testing.T) {
	_, err := inject.ParseRequest(makePod("ttl", "9999999h"), inject.Limits{})
	assertRefusal(t, err, "malformed annotation usersecrets.dev/ttl: it is over 200 years: leave the annotation out", inject.ErrTTL)
}

func TestParseRequestNotRequested(t *testing.T) {
	pod := makePod("ttl", "nonsense")
	delete(pod.Annotations, prefix+"inject")
	_, err := inject.ParseRequest(pod, inject.Limits{})
	assertRefusal(t, err, "the pod has no annotation usersecrets.dev/inject: name the secrets in it, or remove the Secret whose name starts with usersecret- from the spec", inject.ErrNotRequested)
}

// Paths that only look like the refused ones.
func TestMountPathAccepted(t *testing.T) {
	for _, path := range []string{"/a", "/procfs", "/device/x", "/..a", "/a b", "/ü", "/" + strings.Repeat("a", 1023)} {
		if _, err := inject.ParseRequest(makePod("mount-path", path), inject.Limits{}); err != nil {
			t.Errorf("%.40q: %v", path, err)
		}
	}
}
