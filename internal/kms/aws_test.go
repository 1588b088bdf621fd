package kms

import (
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
)

// serveAWS is AWS JSON 1.1: the operation in a header, errors by their type.
func serveAWS(s *service, w http.ResponseWriter, r *http.Request) {
	const contentType = "application/x-amz-json-1.1"
	if got := r.Header.Get("Content-Type"); got != contentType {
		s.t.Errorf("content type %q", got)
	}
	body := s.body(r)
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.Encrypt":
		if body["KeyId"] != "alias/usersecrets" {
			s.t.Errorf("encrypts with key %v", body["KeyId"])
		}
		s.answer(w, contentType, map[string]string{"CiphertextBlob": encode(sealedPrefix + decode(s.t, body["Plaintext"]))})
	case "TrentService.Decrypt":
		text, ok := unseal(decode(s.t, body["CiphertextBlob"]))
		if !ok {
			s.refusal = refusal{http.StatusBadRequest, `{"__type":"InvalidCiphertextException"}`}
		}
		s.answer(w, contentType, map[string]string{"Plaintext": encode(text)})
	default:
		s.t.Errorf("operation %q", r.Header.Get("X-Amz-Target"))
	}
}

// startAWS is AWS KMS with credentials in the environment, and nothing else of AWS.
func startAWS(t *testing.T) (*service, *Root) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "credentials"),
	} {
		t.Setenv(name, value)
	}
	s := start(t, serveAWS)
	// With so small a capacity the client does not try again, which takes seconds.
	return s, open(t, "awskms:///alias/usersecrets?region=eu-central-1&rate_limiter_capacity=1&endpoint="+url.QueryEscape(s.URL))
}

func TestAWS(t *testing.T) {
	s, root := startAWS(t)
	if root.ID() != "awskms://alias/usersecrets?region=eu-central-1" {
		t.Errorf("id is %s", root.ID())
	}
	checkRoundTrip(t, root)
	_, err := root.Unwrap(t.Context(), []byte("altered"))
	checkError(t, err, false, "awskms://alias/usersecrets?region=eu-central-1 refuses to decrypt it: AWS answers InvalidCiphertextException")

	const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	checkVerdicts(t, root, func(r refusal) { s.refusal = r }, map[string]verdict{
		"another's ciphertext": {
			refusal:   refusal{http.StatusBadRequest, `{"__type":"InvalidCiphertextException","message":null}`},
			wantError: root.ID() + " refuses to decrypt it: AWS answers InvalidCiphertextException",
		},
		"disabled": {
			refusal:     refusal{http.StatusBadRequest, `{"__type":"DisabledException","message":"` + arn + ` is disabled."}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers DisabledException: "+arn+" is disabled."),
		},
		"scheduled for deletion": {
			refusal:     refusal{http.StatusBadRequest, `{"__type":"KMSInvalidStateException","message":"` + arn + ` is pending deletion."}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers KMSInvalidStateException: "+arn+" is pending deletion."),
		},
		"no such key": {
			refusal:     refusal{http.StatusBadRequest, `{"__type":"NotFoundException","message":"Alias ` + arn + ` is not found."}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers NotFoundException: Alias "+arn+" is not found."),
		},
		"throttled": {
			refusal:     refusal{http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers ThrottlingException: Rate exceeded"),
		},
		"denied": {
			refusal:     refusal{http.StatusBadRequest, `{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::111122223333:user/operator is not authorized to perform: kms:Decrypt"}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers AccessDeniedException: User: arn:aws:iam::111122223333:user/operator is not authorized to perform: kms:Decrypt"),
		},
		"broken": {
			refusal:     refusal{http.StatusInternalServerError, `{"__type":"KMSInternalException","message":"An internal error occurred."}`},
			unavailable: true, wantError: unavailableText(root, "AWS answers KMSInternalException: An internal error occurred."),
		},
	})
}

func TestAWSRefusesToEncrypt(t *testing.T) {
	s, root := startAWS(t)
	s.refusal = refusal{http.StatusBadRequest, `{"__type":"AccessDeniedException","Message":"not authorized to perform: kms:Encrypt"}`}
	_, err := root.Wrap(t.Context(), []byte(plaintext))
	checkError(t, err, true, unavailableText(root, "AWS answers AccessDeniedException: not authorized to perform: kms:Encrypt"))
}

func TestAWSAway(t *testing.T) {
	s, root := startAWS(t)
	s.Close()
	_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
	checkError(t, err, true, unavailableText(root, "dial tcp "+s.Listener.Addr().String()+": connect: connection refused"))
}

func TestAWSHangs(t *testing.T) {
	s, root := startAWS(t)
	s.hang = make(chan struct{})
	defer close(s.hang)
	root.patience = 1
	_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
	checkError(t, err, true, "the root key cannot be reached: "+root.ID()+" did not answer to decrypt within 1ns")
}
