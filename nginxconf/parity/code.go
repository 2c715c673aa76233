package parity

// A Level is how bad a finding is.
type Level string

const (
	Error   Level = "error"   // hits never happen, or are the wrong page, or clients get broken answers
	Warning Level = "warning" // it works today
	Note    Level = "note"    // worth knowing
)

// A Code is the name of a kind of finding. docs/check.md has a row for each.
type Code string

const (
	NoLookup        Code = "no-lookup"
	Unreadable      Code = "unreadable"
	LookupsDisagree Code = "lookups-disagree"
	NotTold         Code = "not-told"

	KeyDiffers      Code = "key-differs"
	KeyNotSet       Code = "key-not-set"
	KeyNotDerivable Code = "key-not-derivable"
	KeyConstant     Code = "key-constant"
	KeyParams       Code = "key-params"
	KeyRewritten    Code = "key-rewritten"
	KeyLong         Code = "key-long"
	KeyWithoutHost  Code = "key-without-host"
	KeyWithoutArgs  Code = "key-without-args"
	KeyScheme       Code = "key-scheme"
	VisitorDiffers  Code = "visitor-differs"

	HandoverKey    Code = "handover-key"
	HandoverStatus Code = "handover-status"
	HandoverServer Code = "handover-server"
	HandoverLost   Code = "handover-lost"

	NoMethod    Code = "no-method"
	ParamTwice  Code = "param-twice"
	HTTPHost    Code = "http-host"
	Diverted    Code = "diverted"
	Members     Code = "members-looked-up"
	Rewritten   Code = "rewritten"
	Subrequests Code = "subrequests"
	MissNowhere Code = "miss-nowhere"
	MissOther   Code = "miss-elsewhere"
	TLSDiffers  Code = "tls-differs"

	ErrorPageMissing Code = "error-page-missing"
	ErrorPageStatus  Code = "error-page-status"
	ErrorPageTarget  Code = "error-page-target"
	Timeout          Code = "timeout"
	NextUpstream     Code = "next-upstream"
	MaxFails         Code = "max-fails"

	ServerMissing   Code = "server-missing"
	ServerExtra     Code = "server-extra"
	ServerSpelled   Code = "server-spelled"
	ServerAddresses Code = "server-addresses"
	ServerOrder     Code = "server-order"
	ServerWeight    Code = "server-weight"
	ServerDown      Code = "server-down"
	ServerPort      Code = "server-port"
	ServerBackup    Code = "server-backup"
	ServerUnknown   Code = "server-unknown"
	HashDiffers     Code = "hash-differs"
	HashExpression  Code = "hash-expression"

	FormatDiffers   Code = "format-differs"
	GzipFlagDiffers Code = "gzip-flag-differs"
	GzipFlagIdle    Code = "gzip-flag-idle"
	GunzipOff       Code = "gunzip-off"
	SrcacheStore    Code = "srcache-store"

	HitTypeDiffers Code = "hit-type-differs"
	NoDefaultType  Code = "no-default-type"
	NoCharset      Code = "no-charset"
	TypesDiffer    Code = "types-differ"
	TypesHTML      Code = "types-html"
	NoTypes        Code = "no-types"

	HeaderNotAdded Code = "header-not-added"
	HeaderNotTold  Code = "header-not-told"
	HeaderLost     Code = "header-lost"
)
