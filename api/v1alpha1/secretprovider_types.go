package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProviderCategory groups providers for people.
//
// +kubebuilder:validation:Enum=LLM;Integration;Database;Webhook;Custom
type ProviderCategory string

// PatternPolicy says what happens to a value that does not match the pattern.
//
// +kubebuilder:validation:Enum=Warn;Enforce
type PatternPolicy string

const (
	// PatternWarn accepts the value with a warning: vendors change their formats.
	PatternWarn PatternPolicy = "Warn"
	// PatternEnforce refuses the value.
	PatternEnforce PatternPolicy = "Enforce"
)

// Placeholders stand for the value in the URL, headers and body of an HTTP test.
// What replaces them is escaped for its place: percent-encoded in the path and in
// the query of a URL (RFC 3986), as part of a JSON string in a body of Content-Type
// application/json, percent-encoded in one of application/x-www-form-urlencoded,
// and as it is in headers and other bodies.
const (
	// ValuePlaceholder is the value.
	ValuePlaceholder = "{{value}}"
	// ValueBase64Placeholder is the value in base64 (RFC 4648, section 4), as for
	// HTTP Basic authentication (RFC 7617) of a value that is "user:password".
	ValueBase64Placeholder = "{{value.base64}}"
)

// HTTPMethod is the method of an HTTP test (RFC 9110, section 9).
//
// +kubebuilder:validation:Enum=GET;HEAD;POST
type HTTPMethod string

// HTTPHeader is one header of an HTTP test.
type HTTPHeader struct {
	// name is the header's field name (RFC 9110, section 5.1).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+.^_\x60|~-]+$`
	Name string `json:"name"`

	// value is the header's value, printable ASCII; {{value}} stands for the
	// secret, {{value.base64}} for the secret in base64. Of a secret that is not
	// printable ASCII only the latter can be sent.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}

// HTTPTest asks a provider's API whether it accepts a value.
type HTTPTest struct {
	// method is the request's method.
	//
	// +optional
	// +default="GET"
	Method HTTPMethod `json:"method,omitempty"`

	// url is where the request goes: https, a fixed host, {{value}} for the secret,
	// percent-encoded. Redirects are not followed.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://')",message="url must start with https://: a secret is never sent in the clear"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('https://') || self.matches('^https://[A-Za-z0-9.-]+(:[0-9]+)?([/?]|$)')",message="url must name a fixed host: {{value}} may stand in the path and the query, and nothing before the host"
	URL string `json:"url"`

	// headers are sent with the request. Those of the connection, such as Host, are
	// not for the catalogue to set.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`

	// body is sent with a POST request; {{value}} stands for the secret, escaped
	// as the header Content-Type asks for: as part of a string in application/json,
	// percent-encoded in application/x-www-form-urlencoded, else as it is.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Body string `json:"body,omitempty"`

	// valid is a CEL expression over code (the status code, int) and body (the
	// parsed JSON body, dyn) that is true when the provider accepted the value. A
	// body that is no JSON, or longer than 1 MiB, is null. Numbers without fraction
	// and exponent are int, others double. An expression that cannot be evaluated,
	// as where a member is missing, is not true.
	//
	// +optional
	// +default="code >= 200 && code < 300"
	// +kubebuilder:validation:MaxLength=1024
	Valid string `json:"valid,omitempty"`

	// invalid is a CEL expression over code and body that is true when the
	// provider rejected the value. Anything neither valid nor invalid, or both,
	// counts as unreachable.
	//
	// +optional
	// +default="code == 401 || code == 403"
	// +kubebuilder:validation:MaxLength=1024
	Invalid string `json:"invalid,omitempty"`
}

// PostgresTest connects to the PostgreSQL server that the value names and runs SELECT 1.
type PostgresTest struct{}

// MySQLTest connects to the MySQL server that the value names and pings it.
type MySQLTest struct{}

// ProviderTest is how a value is tested. Exactly one member is set.
//
// +kubebuilder:validation:ExactlyOneOf=http;postgres;mysql
type ProviderTest struct {
	// http asks the provider's API.
	//
	// +optional
	HTTP *HTTPTest `json:"http,omitempty"`

	// postgres connects with the value as connection string.
	//
	// +optional
	Postgres *PostgresTest `json:"postgres,omitempty"`

	// mysql connects with the value as connection string.
	//
	// +optional
	MySQL *MySQLTest `json:"mysql,omitempty"`
}

// ProviderType is one type of credential that a provider gives out.
type ProviderType struct {
	// type is the kind of credential.
	//
	// +required
	Type SecretType `json:"type"`

	// key is the key of the projected Secret, and so the name of the file or
	// environment variable: the one that the provider's own SDK reads.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Key string `json:"key"`

	// pattern is a regular expression (RE2) that values match as a whole.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!''.matches(self) || ''.matches(self)",message="pattern must be a regular expression in RE2 syntax"
	Pattern string `json:"pattern,omitempty"`

	// patternPolicy says what happens to a value that does not match.
	//
	// +optional
	// +default="Warn"
	PatternPolicy PatternPolicy `json:"patternPolicy,omitempty"`

	// example shows what a value looks like, and matches the pattern. It is no
	// working credential.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Example string `json:"example,omitempty"`

	// allowMultiple lets one namespace have several active UserSecrets of
	// this provider and type.
	//
	// +optional
	AllowMultiple bool `json:"allowMultiple,omitempty"`

	// test is how a value is tested; without it, values cannot be.
	//
	// +optional
	Test *ProviderTest `json:"test,omitempty"`
}

// SecretProviderSpec describes a service that gives out credentials.
type SecretProviderSpec struct {
	// displayName is the service's name for people.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	DisplayName string `json:"displayName"`

	// description says what a value must look like where that is not obvious.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// category groups providers for people.
	//
	// +required
	Category ProviderCategory `json:"category"`

	// icon is the name of an icon for user interfaces.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Icon string `json:"icon,omitempty"`

	// docsURL is the page that says how to get a credential.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://')",message="docsURL must start with https://"
	DocsURL string `json:"docsURL,omitempty"`

	// types are the kinds of credential that the provider gives out. The
	// first is the one meant where a pod names no type.
	//
	// +required
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Types []ProviderType `json:"types"`
}

// SecretProvider is an entry of the catalogue: a service that gives out
// credentials, as data.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=sprov,categories=usersecret-operator
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="the name of a SecretProvider must be a DNS label: lower case letters, digits and '-', at most 63 characters"
// +kubebuilder:printcolumn:name="Display-Name",type=string,JSONPath=`.spec.displayName`
// +kubebuilder:printcolumn:name="Category",type=string,JSONPath=`.spec.category`
// +kubebuilder:printcolumn:name="Default-Type",type=string,JSONPath=`.spec.types[0].type`
// +kubebuilder:printcolumn:name="Default-Key",type=string,JSONPath=`.spec.types[0].key`
// +kubebuilder:printcolumn:name="Docs",type=string,priority=1,JSONPath=`.spec.docsURL`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SecretProvider struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata. The name is what
	// UserSecrets and pods refer to.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the provider.
	//
	// +required
	Spec SecretProviderSpec `json:"spec"`
}

// SecretProviderList is a list of SecretProviders.
//
// +kubebuilder:object:root=true
type SecretProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SecretProvider `json:"items"`
}
