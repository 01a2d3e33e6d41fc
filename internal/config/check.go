package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"gatehouse/internal/limit"
)

// checkValues makes every option, and every flag of a command, check its value and note a problem. Without it,
// kong would stop at the first.
func (p *parser) checkValues(app *kong.Kong) error {
	return kong.Visit(app.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag != app.Model.HelpFlag {
			flag.Mapper = checked{flag.Mapper, p}
		}
		return next(nil)
	})
}

// checkComplete notes what a command lacks: its second word, an argument, or a flag that it requires.
func (p *parser) checkComplete(ctx *kong.Context) {
	command := ctx.Selected()
	if len(command.Children) > 0 {
		p.note("", fmt.Sprintf("%s: name one of its commands; see gatehouse %s --help", command.Name, command.Name))
	}
	for _, argument := range command.Positional {
		if argument.Required && !slices.ContainsFunc(ctx.Path, func(step *kong.Path) bool { return step.Positional == argument }) {
			p.note("", fmt.Sprintf("%s: missing; see gatehouse %s --help", argument.Summary(), commandName(ctx)))
		}
	}
	for _, flag := range command.Flags {
		if _, given := p.given[flag.Name]; flag.Required && !given {
			p.note(flag.Name, fmt.Sprintf("--%s: missing; see gatehouse %s --help", flag.Name, commandName(ctx)))
		}
	}
}

// checked decodes a value and checks it against the tags of its option. It never fails, but notes problems.
type checked struct {
	kong.Mapper
	parser *parser
}

// IsBool reports whether the option is a flag without a value.
func (c checked) IsBool() bool {
	mapper, ok := c.Mapper.(kong.BoolMapper)
	return ok && mapper.IsBool()
}

// Decode reads a value into target.
func (c checked) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	name, token := ctx.Value.Name, ctx.Scan.Peek()
	key := "--" + name
	if given, ok := c.parser.given[name]; ok {
		key = given.key
	}
	if !c.IsBool() && !token.IsValue() {
		c.parser.note(name, key+": a value is missing")
		return nil
	}
	err := c.Mapper.Decode(ctx, target)
	if err == nil {
		err = c.checkLimits(ctx.Value, target)
	} else if want := expectation(ctx.Value); want != "" {
		err = fmt.Errorf("want %s", want)
	}
	if err != nil {
		reason := strings.ReplaceAll(err.Error(), "\n", "; ")
		c.parser.note(name, fmt.Sprintf("%s: %s%s", key, quote(ctx.Value, token), reason))
	}
	return nil
}

// masked is a type whose values hold secrets: they print masked, and no error repeats them.
type masked interface{ masked() }

func isMasked(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Implements(reflect.TypeFor[masked]())
}

// quote repeats a refused value, unless it is a secret.
func quote(value *kong.Value, token kong.Token) string {
	if isMasked(value.Target.Type()) {
		return ""
	}
	return fmt.Sprintf("%q is not valid: ", token.String())
}

// checkLimits checks a value against the tags enum, min and max.
func (c checked) checkLimits(option *kong.Value, value reflect.Value) error {
	ok := true
	if option.Enum != "" {
		text := value.String()
		ok = text == option.Default || slices.Contains(option.EnumSlice(), text)
	}
	for _, tag := range []string{"min", "max"} {
		text := option.Tag.Get(tag)
		if text == "" {
			continue
		}
		limit := reflect.New(value.Type()).Elem()
		scan := kong.ScanAsType(kong.FlagValueToken, text)
		if err := c.Mapper.Decode(&kong.DecodeContext{Value: option, Scan: scan}, limit); err != nil {
			return fmt.Errorf("limit of %s: %w", option.Name, err)
		}
		order := compare(value, limit)
		ok = ok && (order == 0 || (order < 0) == (tag == "max"))
	}
	if !ok {
		return fmt.Errorf("want %s", expectation(option))
	}
	return nil
}

// compare compares two integers of the same type.
func compare(a, b reflect.Value) int {
	if a.CanUint() {
		return cmp.Compare(a.Uint(), b.Uint())
	}
	return cmp.Compare(a.Int(), b.Int())
}

// expectation says what an option accepts. It is empty if the error of its type says that.
func expectation(option *kong.Value) string {
	between := fmt.Sprintf("from %s to %s", option.Tag.Get("min"), option.Tag.Get("max"))
	switch option.Target.Interface().(type) {
	case time.Duration:
		return "a time " + between + ", such as 90s, 15m or 720h"
	case int, uint8, uint32:
		return "a whole number " + between
	case Size:
		return "a size " + between + ", such as 50MB or 50MiB"
	case bool:
		return "true or false"
	}
	if option.Enum != "" {
		return strings.Join(option.EnumSlice(), " or ")
	}
	return ""
}

// complete sets the defaults that depend on the mode.
func (o *Options) complete() {
	reachable := o.Mode == Production || o.LAN
	switch {
	case o.Addr == "" && o.Mode == Production && o.SpeaksHTTPS():
		o.Addr = ":443"
	case o.Addr == "" && reachable:
		o.Addr = ":8000"
	case o.Addr == "":
		o.Addr = "127.0.0.1:8000"
	case o.Addr.host() == "" && !reachable:
		o.Addr = "127.0.0.1" + o.Addr
	}
	switch {
	case o.AdminAddr == "" && o.Addr.port() == "0":
		o.AdminAddr = "127.0.0.1:0"
	case o.AdminAddr == "":
		o.AdminAddr = "127.0.0.1:9000"
	}
	switch {
	case o.RedirectAddr == "" && o.Mode == Production && o.SpeaksHTTPS():
		o.RedirectAddr = ":80"
	case o.RedirectAddr == "":
		o.RedirectAddr = NoRedirect
	}
	if o.Limits == nil && o.Mode == Production {
		o.Limits = limit.Defaults()
	}
	if o.Mode != Dev {
		return
	}
	o.SMS = cmp.Or(o.SMS, SMSDev)
	o.SecretFile = cmp.Or(o.SecretFile, filepath.Join(o.DataDir, "secret"))
	if o.WebDir == "" && isDir("web") {
		o.WebDir = "web"
	}
}

// rule is something that must not be the case, and the problem to report if it is.
type rule struct {
	broken  bool
	option  string
	problem string
}

// checkRules notes missing options, and options that contradict each other.
func (p *parser) checkRules(o Options, command string) {
	lackingModeration := missing(o.moderationNeeds())
	p.noteBroken([]rule{
		{o.Mode == Dev && !o.LAN && !isLoopback(o.Addr.host()), "addr",
			"--addr: dev mode listens on this machine only; add --lan to open it to the local network, or use --mode production"},
		{o.Mode == Production && o.LAN, "lan",
			"--lan: production mode serves everyone already; remove it"},
		{o.DataDir == "", "data-dir", "--data-dir: want a folder; name one, or leave it out for ./data"},
		{o.WebDir != "" && !isDir(o.WebDir), "web-dir",
			fmt.Sprintf("--web-dir: %q is not a folder; create it, or leave it out", o.WebDir)},
		{o.PasswordMemory < 8*uint32(o.PasswordParallelism), "password-memory",
			"--password-memory: argon2id needs 8 KiB for each thread; raise it, or lower --password-parallelism"},
		{o.AccessTokenLifetime > o.SessionIdle, "access-token-lifetime",
			"--access-token-lifetime: a token cannot outlive its session; lower it, or raise --session-idle"},
		{o.needsStorageKey() && (o.StorageKeyID == "" || o.StorageKeySecret == ""), "storage-key-id",
			"--storage-key-id: S3 needs --storage-key-id and --storage-key-secret"},
		{o.BackupEvery > 0 && o.BackupTo == "", "backup-every", "--backup-every: say where to, with --backup-to"},
		{o.BackupEvery > 0 && o.BackupEvery < time.Minute, "backup-every", "--backup-every: want at least a minute, or 0s for never"},
		{o.BackupTo.isWithin(o.DataDir), "backup-to", "--backup-to: " + backupWithinProblem},
		{o.lacksBackupKey(o.BackupTo), "backup-key-id", backupKeyProblem},
		{len(o.ImageSizes) == 0 || slices.Min(o.ImageSizes) < 1 || slices.Max(o.ImageSizes) > 65535, "image-sizes",
			"--image-sizes: want pixels from 1 to 65535, such as 160,320,640"},
		{lackingModeration != "", "moderation", fmt.Sprintf("--moderation: %s needs also %s", o.Moderation, lackingModeration)},
		{o.AccelRedirect != "" && len(o.TrustedProxy) == 0, "accel-redirect",
			"--accel-redirect: only proxies that --trusted-proxy names are answered so; name nginx there, or remove it"},
		{o.AccelRedirect != "" && o.Storage.isS3(), "accel-redirect",
			"--accel-redirect: nginx can't send what lies in S3; remove it, or store pictures in a folder"},
		{o.SessionIdle > o.SessionLifetime, "session-idle",
			"--session-idle: a login cannot last longer unused than at all; lower it, or raise --session-lifetime"},
	})
	serves := command == Serve || command == Show || command == Doctor
	if serves {
		p.noteBroken(o.Codes.rules())
		p.noteBroken(o.httpsRules())
		_, choseCA := p.given["acme-directory"]
		p.noteBroken(o.acmeRules(choseCA))
	}
	if o.Mode == Production && !strings.HasPrefix(command, "migrate") && command != Restore {
		p.noteBroken(o.secretRules())
	}
	if o.Mode == Production && serves {
		p.noteBroken(productionRules(o))
	}
}

// httpsRules are what HTTPS requires, wherever its certificates come from.
func (o Options) httpsRules() []rule {
	return []rule{
		{o.TLSCert != "" && o.TLSKey == "", "tls-key", "--tls-key: missing; name the file of the certificate's private key"},
		{o.TLSKey != "" && o.TLSCert == "", "tls-cert", "--tls-cert: missing; name the file of the certificate"},
		{o.TLSCert != "" && !isFile(o.TLSCert), "tls-cert", fmt.Sprintf("--tls-cert: there is no file %q", o.TLSCert)},
		{o.TLSKey != "" && !isFile(o.TLSKey), "tls-key", fmt.Sprintf("--tls-key: there is no file %q", o.TLSKey)},
		{o.SpeaksHTTPS() && strings.HasPrefix(string(o.PublicURL), "http:"), "public-url",
			"--public-url: the server speaks HTTPS; write https://"},
		{o.Redirects() && !o.SpeaksHTTPS(), "redirect-addr",
			"--redirect-addr: there is no HTTPS to redirect to; add --tls-cert and --tls-key, or --acme-domain, or leave it to the proxy"},
		{o.Redirects() && o.PublicURL == "" && o.Mode == Dev, "redirect-addr",
			"--redirect-addr: add --public-url, which is redirected to"},
	}
}

// acmeRules are what fetching certificates requires, of a CA that was chosen or is the usual one.
func (o Options) acmeRules(choseCA bool) []rule {
	fetches, host := len(o.ACMEDomain) > 0, o.PublicURL.host()
	return []rule{
		{fetches && o.TLSCert+o.TLSKey != "", "acme-domain",
			"--acme-domain: a certificate comes from files or from a CA; leave out this or --tls-cert and --tls-key"},
		{fetches && o.Mode == Dev, "acme-domain",
			"--acme-domain: a CA must reach the server, and dev mode serves this machine only; use --mode production, or --tls-cert"},
		{fetches && o.PublicURL != "" && !slices.Contains(o.ACMEDomain, Domain(host)), "acme-domain",
			fmt.Sprintf("--acme-domain: add %s, at which apps reach the server by --public-url", host)},
		{!fetches && o.ACMEEmail != "", "acme-email", "--acme-email: add --acme-domain, or leave it out"},
		{!fetches && choseCA, "acme-directory", "--acme-directory: add --acme-domain, or leave it out"},
	}
}

// secretRules are what production mode requires of all that works with accounts.
func (o Options) secretRules() []rule {
	return []rule{
		{o.SecretFile == "", "secret-file",
			"--secret-file: missing; make one with (umask 077 && openssl rand -base64 32 > secret), keep it, and name it"},
		{!isFile(o.SecretFile), "secret-file",
			fmt.Sprintf("--secret-file: there is no file %q; make one with (umask 077 && openssl rand -base64 32 > FILE)", o.SecretFile)},
	}
}

// productionRules are what only production mode requires of a server.
func productionRules(o Options) []rule {
	return []rule{
		{o.PublicURL == "", "public-url",
			"--public-url: missing; name the address at which apps reach this server, such as https://app.example.com"},
		{!o.PublicURL.safe(), "public-url",
			"--public-url: passwords must not travel over plain http; use https"},
		{o.SMS == "", "sms",
			"--sms: missing; say how verification codes are sent (none sends nothing and only checks the form of a code)"},
		{o.SMS == SMSDev, "sms",
			"--sms: dev takes one code from everyone and is refused in production; name one that sends them"},
	}
}

// need is an option that a sender cannot do without, and whether it is there.
type need struct {
	option string
	given  bool
}

// rules are what the chosen sender and the chosen captcha require.
func (c Codes) rules() []rule {
	lackingSMS, lackingCaptcha := missing(c.senderNeeds()), missing(c.captchaNeeds())
	return []rule{
		{lackingSMS != "", "sms", fmt.Sprintf("--sms: %s needs also %s", c.SMS, lackingSMS)},
		{c.SMS == SMSTwilio && c.SMSTemplate != "" && !strings.Contains(c.SMSTemplate, "{code}"), "sms-template",
			"--sms-template: twilio takes the text itself; write {code} where the code belongs"},
		{lackingCaptcha != "", "captcha", fmt.Sprintf("--captcha: %s needs also %s", c.Captcha, lackingCaptcha)},
	}
}

func (c Codes) senderNeeds() []need {
	key := []need{{"sms-key-id", c.SMSKeyID != ""}, {"sms-key-secret", c.SMSKeySecret != ""}}
	text := []need{{"sms-sign", c.SMSSign != ""}, {"sms-template", c.SMSTemplate != ""}}
	switch c.SMS {
	case SMSWebhook:
		return []need{{"sms-endpoint", c.SMSEndpoint != ""}, {"sms-key-secret", c.SMSKeySecret != ""}}
	case SMSTencent:
		return slices.Concat(key, []need{{"sms-app", c.SMSApp != ""}}, text, []need{{"sms-region", c.SMSRegion != ""}})
	case SMSAliyun, SMSTwilio:
		return slices.Concat(key, text)
	}
	return nil
}

func (c Codes) captchaNeeds() []need {
	secret := need{"captcha-secret", c.CaptchaSecret != ""}
	switch c.Captcha {
	case CaptchaTurnstile, CaptchaHCaptcha:
		return []need{secret}
	case CaptchaGeetest:
		return []need{{"captcha-id", c.CaptchaID != ""}, secret}
	case CaptchaWebhook:
		return []need{{"captcha-endpoint", c.CaptchaEndpoint != ""}, secret}
	}
	return nil
}

func (p Pictures) moderationNeeds() []need {
	if p.Moderation != ModerationWebhook {
		return nil
	}
	return []need{{"moderation-endpoint", p.ModerationEndpoint != ""}, {"moderation-secret", p.ModerationSecret != ""}}
}

const backupWithinProblem = "it is in the data folder, and would be lost with it; name a folder elsewhere, best on another disk"

const backupKeyProblem = "--backup-key-id: S3 needs --backup-key-id and --backup-key-secret, or --storage-key-id and --storage-key-secret"

// BackupKey returns the key of the S3 of backups: their own, or that of the storage.
func (o Options) BackupKey() (id string, secret Secret) {
	if o.BackupKeyID != "" || o.BackupKeySecret != "" {
		return o.BackupKeyID, o.BackupKeySecret
	}
	return o.StorageKeyID, o.StorageKeySecret
}

func (o Options) lacksBackupKey(place BackupPlace) bool {
	id, secret := o.BackupKey()
	return place.isS3() && (id == "" || secret == "")
}

func (d Data) needsStorageKey() bool { return d.Storage.isS3() || d.StorageFallback.isS3() }

// missing lists the options that are not there.
func missing(needs []need) string {
	var options []string
	for _, need := range needs {
		if !need.given {
			options = append(options, "--"+need.option)
		}
	}
	return strings.Join(options, ", ")
}

// noteBroken notes the first problem of each option that has none yet.
func (p *parser) noteBroken(rules []rule) {
	for _, rule := range rules {
		if rule.broken && !p.refused[rule.option] {
			p.note(rule.option, rule.problem)
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
