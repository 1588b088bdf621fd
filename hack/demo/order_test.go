package main

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestInOrder(t *testing.T) {
	tests := map[string]struct {
		record, secret string
		want           string
	}{
		"recorded first":     {record: "99", secret: "100"},
		"served first":       {record: "100", secret: "99", want: "the Secret existed before its use was recorded: it was written at revision 99, the record at 100"},
		"one write":          {record: "100", secret: "100", want: "the Secret existed before its use was recorded: it was written at revision 100, the record at 100"},
		"a record of no age": {record: "", secret: "100", want: `reading the record's resourceVersion: strconv.ParseUint: parsing "": invalid syntax`},
		"a Secret of no age": {record: "99", secret: "x", want: `reading the Secret's resourceVersion: strconv.ParseUint: parsing "x": invalid syntax`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := inOrder(tt.record, tt.secret); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The first version counts, whatever came before it of others and after it.
func TestRecordedFirst(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "pod", Annotations: map[string]string{v1alpha1.ProjectionAnnotation: "usersecret-a"}}}
	userSecret := func(version string, pods ...string) *v1alpha1.UserSecret {
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Name: "openai", ResourceVersion: version}}
		for _, uid := range pods {
			us.Status.RecentAccesses = append(us.Status.RecentAccesses, v1alpha1.Access{PodUID: uid})
		}
		return us
	}
	secret := func(version, name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
	}
	tests := map[string]struct {
		secretVersion string
		want          error
	}{
		"recorded, then served":              {secretVersion: "13"},
		"served, recorded, and served again": {secretVersion: "11", want: errServedFirst},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := &history{userSecrets: watch.NewFakeWithChanSize(3, false), secrets: watch.NewFakeWithChanSize(3, false)}
			defer h.stop()
			userSecrets, secrets := h.userSecrets.(*watch.FakeWatcher), h.secrets.(*watch.FakeWatcher)
			userSecrets.Add(userSecret("5", "other"))
			userSecrets.Modify(userSecret("12", "other", "pod"))
			userSecrets.Modify(userSecret("15", "other", "pod"))
			secrets.Add(secret("4", "usersecret-b"))
			secrets.Add(secret(tt.secretVersion, "usersecret-a"))
			secrets.Modify(secret("14", "usersecret-a"))
			if err := h.recordedFirst(context.Background(), pod); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
