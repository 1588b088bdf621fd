package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const region = "eu-central-1"

// awsKMS is an AWS-KMS-compatible server. It authorises everybody, so that what
// is forbidden is a key that is disabled.
type awsKMS struct {
	*server
	ids map[string]string // of keys, by name
}

func makeAWS(servers string) *awsKMS {
	GinkgoHelper()
	// Credentials such as a pod gets; nothing else of this machine's is read.
	for variable, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "unchecked", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_CA_BUNDLE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		GinkgoT().Setenv(variable, value)
	}
	a := &awsKMS{server: makeServer(filepath.Join(servers, "aws-kms"), "/healthz"), ids: map[string]string{}}
	a.options.Args = append(a.options.Args, "--region="+region)
	return a
}

func (a *awsKMS) root(ctx context.Context, name string) string {
	GinkgoHelper()
	made := a.call(ctx, "CreateKey", map[string]any{})
	a.ids[name] = made["KeyMetadata"].(map[string]any)["KeyId"].(string)
	a.call(ctx, "CreateAlias", map[string]any{"AliasName": "alias/" + name, "TargetKeyId": a.ids[name]})
	return "awskms:///alias/" + name + "?" + url.Values{"region": {region}, "endpoint": {"http://" + a.address}}.Encode()
}

func (a *awsKMS) forbid(name string) { a.toKey("DisableKey", name) }

func (a *awsKMS) allow(name string) { a.toKey("EnableKey", name) }

func (a *awsKMS) destroy(name string) { a.toKey("ScheduleKeyDeletion", name) }

func (a *awsKMS) toKey(action, name string) {
	GinkgoHelper()
	a.call(context.Background(), action, map[string]any{"KeyId": a.ids[name]})
}

// call is a request as an administrator's, in AWS's JSON protocol 1.1.
func (a *awsKMS) call(ctx context.Context, action string, parameters map[string]any) map[string]any {
	GinkgoHelper()
	body, err := json.Marshal(parameters)
	Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.address, bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "TrentService."+action)
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	answer, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.Body.Close()).To(Succeed())
	Expect(response.StatusCode).To(Equal(http.StatusOK), "%s: %s", action, answer)
	out := map[string]any{}
	if len(answer) > 0 {
		Expect(json.Unmarshal(answer, &out)).To(Succeed())
	}
	return out
}
