package verify

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	postgresPort = 5432
	// maxHosts bounds the members of a host list.
	maxHosts = 8
)

// postgresString is what a test takes from a PostgreSQL connection string.
type postgresString struct {
	endpoints                []endpoint
	user, password, database string
	securities               []security // in the order of trying
	channelBinding           string
	directTLS                bool // sslnegotiation=direct
	sessionAttrs             string
	runtimeParams            map[string]string
}

// postgresSchemes start a URI, also with the name of a Python driver as SQLAlchemy
// writes it.
var postgresSchemes = regexp.MustCompile(`^postgres(ql)?(\+[a-z0-9_]+)?://`)

// postgresUsed are the options that the test makes use of.
var postgresUsed = []string{
	"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslnegotiation", "channel_binding",
	"target_session_attrs", "gssencmode", "application_name", "options",
}

// postgresIgnored are options that make no difference to a login and SELECT 1:
// libpq's, and those that drivers and poolers read themselves.
var postgresIgnored = []string{
	"connect_timeout", "fallback_application_name", "client_encoding", "keepalives", "keepalives_idle", "keepalives_interval",
	"keepalives_count", "tcp_user_timeout", "sslsni", "sslcompression", "ssl_min_protocol_version", "ssl_max_protocol_version",
	"min_protocol_version", "max_protocol_version", "load_balance_hosts",
	"search_path", "timezone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
	"schema", "pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "sslaccept", "statement_cache_size",
	"pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time", "pool_health_check_period",
	"pool_max_conn_lifetime_jitter", "default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity",
	"binary_parameters",
}

// postgresRefused are the options that a test does not follow, with the reason.
var postgresRefused = map[string]string{
	"hostaddr":      "would connect to another address than that of the host: leave it out",
	"service":       readsFiles,
	"servicefile":   readsFiles,
	"passfile":      readsFiles,
	"sslkey":        readsFiles,
	"sslcert":       readsFiles,
	"sslcrl":        readsFiles,
	"sslcrldir":     readsFiles,
	"sslkeylogfile": "writes a file of the machine that connects: leave it out",
	"sslpassword":   "belongs to sslkey, which " + readsFiles,
	"requirepeer":   "is for Unix sockets, and connection tests use TCP alone: leave it out",
	"krbsrvname":    noKerberos,
	"krbspn":        noKerberos,
	"gsslib":        noKerberos,
	"replication":   "asks for a replication connection, which is not tested: leave it out",
}

const (
	readsFiles = "reads a file of the machine that connects: leave it out"
	noKerberos = "is for Kerberos, which connection tests do not speak: leave it out"
)

// parsePostgres reads a connection string in either of libpq's forms, a URI or
// keywords and values (PostgreSQL's documentation, section "Connection Strings"),
// by its rules but for these: nothing comes from the environment or from files,
// there is no default host or user, no option stands twice, and an option that is
// not known to be harmless is refused. Errors are [unusable].
func parsePostgres(text string) (*postgresString, error) {
	var options map[string]string
	var err error
	text = strings.TrimSpace(text)
	if scheme := postgresSchemes.FindString(text); scheme != "" {
		options, err = splitPostgresURI(text[len(scheme):])
	} else {
		options, err = splitKeywords(text)
	}
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if err := checkOption(key, postgresUsed, postgresIgnored, postgresRefused); err != nil {
			return nil, err
		}
	}
	return readPostgres(options)
}

// checkOption says why an option may not be used. Only names that this package
// knows are repeated.
func checkOption(key string, used, ignored []string, refused map[string]string) error {
	if reason, ok := refused[key]; ok {
		return unusable("the connection string's option " + key + " " + reason)
	}
	if slices.Contains(used, key) || slices.Contains(ignored, key) {
		return nil
	}
	return unusable("the connection string has an option that connection tests do not know to be harmless: leave it out")
}

// readPostgres makes sense of options that are all known.
func readPostgres(options map[string]string) (*postgresString, error) {
	s := &postgresString{
		user: options["user"], password: options["password"], database: options["dbname"],
		runtimeParams: map[string]string{},
	}
	if s.user == "" {
		return nil, unusable("the connection string names no user: connection tests have no default for it")
	}
	if s.database == "" {
		s.database = s.user
	}
	for _, key := range []string{"application_name", "options"} {
		if value := options[key]; value != "" {
			s.runtimeParams[key] = value
		}
	}
	for _, read := range []func(map[string]string) error{s.readHosts, s.readSecurity, s.readChoices} {
		if err := read(options); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readHosts reads the lists of hosts and ports, of which one port is for all.
func (s *postgresString) readHosts(options map[string]string) error {
	hosts, ports := strings.Split(options["host"], ","), strings.Split(options["port"], ",")
	if len(hosts) > maxHosts {
		return unusable("the connection string lists more than 8 hosts")
	}
	if len(ports) > 1 && len(ports) != len(hosts) {
		return unusable("the connection string lists another number of ports than of hosts")
	}
	for i, host := range hosts {
		text := ports[0]
		if len(ports) > 1 {
			text = ports[i]
		}
		e, err := parseEndpoint(host, text, postgresPort)
		if err != nil {
			return err
		}
		s.endpoints = append(s.endpoints, e)
	}
	return nil
}

// parseEndpoint reads a host and a decimal port number, which may be empty.
func parseEndpoint(host, port string, defaultPort uint16) (endpoint, error) {
	switch {
	case host == "":
		return endpoint{}, unusable("the connection string names no host: connection tests use no Unix socket, and have no default")
	case strings.ContainsRune(host, ','):
		return endpoint{}, unusable("the connection string names more than one host: name the one to test")
	case strings.ContainsAny(host, `/\@`):
		return endpoint{}, unusable("the connection string names a Unix socket, and connection tests use TCP alone: name a host")
	case port == "":
		return endpoint{host: host, port: defaultPort}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return endpoint{}, unusable("the connection string's port is no number from 1 to 65535 (special characters of a password must be percent-encoded)")
	}
	return endpoint{host: host, port: uint16(number)}, nil
}

// readSecurity reads what the connection string says of TLS. Authorities are the
// system's.
func (s *postgresString) readSecurity(options map[string]string) error {
	modes := map[string][]security{
		"":            {encrypted, plain},
		"prefer":      {encrypted, plain},
		"allow":       {plain, encrypted},
		"disable":     {plain},
		"require":     {encrypted},
		"verify-ca":   {chainVerified},
		"verify-full": {nameVerified},
	}
	mode := options["sslmode"]
	switch options["sslrootcert"] {
	case "":
	case "system": // libpq: the system's authorities, and no weaker mode
		if mode != "" && mode != "verify-full" {
			return unusable("the connection string's sslrootcert=system asks for sslmode=verify-full")
		}
		mode = "verify-full"
	default:
		return unusable("the connection string's option sslrootcert " + readsFiles + " (the system's authorities are trusted)")
	}
	s.directTLS = options["sslnegotiation"] == "direct"
	if s.directTLS && (mode == "" || mode == "prefer") {
		mode = "require"
	}
	securities, ok := modes[mode]
	if !ok {
		return unusable("the connection string's sslmode is none of disable, allow, prefer, require, verify-ca and verify-full")
	}
	if s.directTLS && slices.Contains(securities, plain) {
		return unusable("the connection string's sslnegotiation=direct asks for sslmode=require or a stronger one")
	}
	s.securities = securities
	return nil
}

// readChoices reads the options that are one of several words.
func (s *postgresString) readChoices(options map[string]string) error {
	choices := map[string][]string{
		"sslnegotiation":       {"", "postgres", "direct"},
		"channel_binding":      {"", "disable", "prefer", "require"},
		"target_session_attrs": {"", "any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
		"gssencmode":           {"", "disable", "prefer"},
	}
	for _, key := range postgresUsed {
		if allowed, ok := choices[key]; ok && !slices.Contains(allowed, options[key]) {
			return unusable("the connection string's " + key + " is not one that connection tests know: " + strings.Join(allowed[1:], ", "))
		}
	}
	s.channelBinding, s.sessionAttrs = options["channel_binding"], options["target_session_attrs"]
	return nil
}

// setOption adds an option, under the name that libpq gives it.
func setOption(options map[string]string, key, value string) error {
	switch {
	case key == "database":
		key = "dbname"
	case key == "ssl" && value == "true": // what libpq takes from JDBC
		key, value = "sslmode", "require"
	}
	if strings.ContainsRune(value, 0) {
		return unusable("the connection string has a NUL character in it")
	}
	if _, twice := options[key]; twice {
		return unusable("the connection string has an option twice")
	}
	options[key] = value
	return nil
}

// splitPostgresURI splits what follows the scheme, by libpq's rules: a password
// may hold any character but @ and / as it is, a list of hosts may stand where a URI has
// one, and parameters know no + for a blank.
func splitPostgresURI(rest string) (map[string]string, error) {
	options := map[string]string{}
	credentials := ""
	if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' {
		credentials, rest = rest[:at], rest[at+1:]
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	if strings.ContainsRune(hosts, '@') || credentials == "" && strings.ContainsRune(database, '@') {
		return nil, unusable("the connection string is no URI: special characters of a password must be percent-encoded")
	}
	user, password, _ := strings.Cut(credentials, ":")
	host, port, err := splitHosts(hosts)
	if err != nil {
		return nil, err
	}
	pairs := [][2]string{{"user", user}, {"password", password}, {"host", host}, {"port", port}, {"dbname", database}}
	pairs = slices.DeleteFunc(pairs, func(p [2]string) bool { return p[1] == "" })
	for parameter := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(parameter, "="); parameter != "" {
			pairs = append(pairs, [2]string{key, value})
		}
	}
	for _, p := range pairs {
		key, keyErr := url.PathUnescape(p[0])
		value, valueErr := url.PathUnescape(p[1])
		if keyErr != nil || valueErr != nil {
			return nil, unusable("the connection string is no URI: a % in it is not followed by two hexadecimal digits")
		}
		if err := setOption(options, key, value); err != nil {
			return nil, err
		}
	}
	return options, nil
}

// splitHosts splits host:port,[address]:port into a list of hosts and one of
// ports; the latter is empty where no host has one.
func splitHosts(list string) (hosts, ports string, err error) {
	var hostList, portList []string
	for member := range strings.SplitSeq(list, ",") {
		host, port, _ := strings.Cut(member, ":")
		if inner, ok := strings.CutPrefix(member, "["); ok {
			var found bool
			host, port, found = strings.Cut(inner, "]")
			if !found || (port != "" && port[0] != ':') {
				return "", "", unusable("the connection string is no URI: an IPv6 address stands between [ and ]")
			}
			port = strings.TrimPrefix(port, ":")
		}
		hostList, portList = append(hostList, host), append(portList, port)
	}
	hosts, ports = strings.Join(hostList, ","), strings.Join(portList, ",")
	if strings.Trim(ports, ",") == "" {
		ports = ""
	}
	return hosts, ports, nil
}

// splitKeywords splits key = 'value' pairs. Within quotes and without, a backslash
// stands before a character that is meant as it is.
func splitKeywords(text string) (map[string]string, error) {
	malformed := unusable("the value is no connection string: it is neither a postgres:// URI nor key=value pairs")
	options := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, found := strings.Cut(text, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" || strings.ContainsAny(key, " \t\r\n'\\:/") {
			return nil, malformed
		}
		value, rest, ok := cutValue(strings.TrimSpace(rest))
		if !ok {
			return nil, malformed
		}
		if err := setOption(options, key, value); err != nil {
			return nil, err
		}
		text = rest
	}
	if len(options) == 0 {
		return nil, malformed
	}
	return options, nil
}

// cutValue returns the value that text starts with, and what follows it.
func cutValue(text string) (value, rest string, ok bool) {
	var out strings.Builder
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			i++
			if i == len(text) {
				return out.String(), "", !quoted
			}
			out.WriteByte(text[i])
		case quoted && c == '\'':
			return out.String(), text[i+1:], true
		case !quoted && strings.IndexByte(" \t\r\n\v\f", c) >= 0:
			return out.String(), text[i:], true
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), "", !quoted
}
