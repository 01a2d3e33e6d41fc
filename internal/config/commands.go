package config

import "cmp"

// The names of the commands.
const (
	Serve            = "serve"
	MigrateUp        = "migrate up"
	MigrateStatus    = "migrate status"
	Version          = "version"
	Show             = "config"
	Health           = "health"
	Doctor           = "doctor"
	UserList         = "user list"
	UserShow         = "user show"
	UserDisable      = "user disable"
	UserEnable       = "user enable"
	UserLogout       = "user logout"
	UserDelete       = "user delete"
	UserSetPassword  = "user set-password"
	ImportBooklet    = "import booklet"
	ImportCSV        = "import csv"
	ImportPocketBase = "import pocketbase"
	ImportSupabase   = "import supabase"
	StorageCheck     = "storage check"
	StorageMove      = "storage move"
	BackupMake       = "backup make"
	BackupList       = "backup list"
	BackupCheck      = "backup check"
	Restore          = "restore"
)

// commands are the commands, and what each takes besides the options.
type commands struct {
	Serve   struct{} `cmd:"" default:"1" help:"Start the server. This is the default."`
	Migrate struct {
		Up     struct{} `cmd:"" default:"1" help:"Bring the database up to this program. This is the default; serve does it too."`
		Status struct{} `cmd:"" help:"List the migrations and whether they were applied."`
	} `cmd:"" help:"Change the database for this program."`
	User    User            `cmd:"" help:"List and change users, also while servers run."`
	Import  Import          `cmd:"" help:"Take over the users of another server. What was imported before is skipped."`
	Storage StorageCommands `cmd:"" help:"Check where pictures are stored, or move them elsewhere, also while servers run."`
	Backup  BackupCommands  `cmd:"" help:"Back up the database and the pictures, also while servers run; list or check backups."`
	Restore RestoreCommand  `cmd:"" help:"Restore a backup into an empty database and an empty storage, which the options name. It may be interrupted and run again."`
	Doctor  struct{}        `cmd:"" help:"Look at everything that the server depends on, with its options, and say what to do: configuration, clock, disks, database, Redis, storage, text messages, certificates, the public URL, backups. The exit code is 1 if there is a problem."`
	Health  struct{}        `cmd:"" help:"Ask the server that runs with the same options on this machine whether it is ready: a health check for containers."`
	Version struct{}        `cmd:"" help:"Print the version of this program."`
	Show    struct{}        `cmd:"" name:"config" help:"Check the options, and print each with its value and where it came from."`
}

// User is what the commands for users take.
type User struct {
	List struct {
		Limit int    `default:"100" min:"1" max:"100000" placeholder:"N" help:"The most users to list (default ${default})."`
		After string `placeholder:"ID" help:"List those who registered after the user with this id."`
	} `cmd:"" help:"List users in the order in which they registered."`
	Show    UserPhone `cmd:"" help:"Show a user."`
	Disable UserPhone `cmd:"" help:"Refuse every login of a user, and log the user out everywhere."`
	Enable  UserPhone `cmd:"" help:"Take a disabled user back."`
	Logout  UserPhone `cmd:"" help:"Log a user out everywhere."`
	Delete  struct {
		UserPhone
		Now bool `help:"Erase the user without the time of grace."`
	} `cmd:"" help:"Log a user out everywhere, and erase the user once --deletion-grace is over."`
	SetPassword UserPhone `cmd:"" help:"Set a user's password, which is read from the terminal or from a line of the standard input, and log the user out everywhere."`
}

// UserPhone names a user.
type UserPhone struct {
	Phone string `arg:"" help:"The user's phone number, or id."`
}

// Import is what the commands for imports take.
type Import struct {
	Booklet struct {
		From   Database `required:"" placeholder:"URL" help:"The booklet's database: mysql://user:password@host[:port]/demo."`
		Images string   `placeholder:"DIR" help:"The booklet's folder static/image, to take over its pictures too."`
		Map    string   `placeholder:"FILE" help:"Where the new address of each picture is noted (default booklet-images.csv in the data folder)."`
		DryRun
	} `cmd:"" help:"Take over the users and pictures of the booklet's server."`
	CSV struct {
		ImportFile
		DryRun
	} `cmd:"" name:"csv" help:"Import users from a CSV file with a header: phone, password or password_hash (bcrypt or argon2id), nickname, created_at."`
	PocketBase struct {
		ImportFile
		PhoneColumn string `default:"phone" placeholder:"NAME" help:"The field of users that holds the phone number (default ${default})."`
		DryRun
	} `cmd:"" name:"pocketbase" help:"Import the collection users from the data.db of PocketBase."`
	Supabase struct {
		ImportFile
		DryRun
	} `cmd:"" help:"Import users from a CSV dump of the table auth.users of Supabase."`
}

// ImportFile names the file that users are read from.
type ImportFile struct {
	File string `arg:"" help:"The file to read."`
}

// DryRun is an import that only reports what it would do.
type DryRun struct {
	DryRun bool `help:"Change nothing: only report what would be imported."`
}

// StorageCommands are what the commands for the storage take.
type StorageCommands struct {
	Check struct {
		Read   bool `help:"Read every file too, and compare its SHA-256 with that of its row."`
		Remove bool `help:"Remove the files that have no row and are older than an hour. Rows are never removed."`
	} `cmd:"" help:"Compare the files with the rows of the database: name what is missing or damaged, and what is left over. The exit code is 1 if something is missing or damaged."`
	Move struct {
		To     Storage `placeholder:"URL" help:"The new storage, while the servers still use the old one. Without it, --storage is the new one."`
		Remove bool    `help:"Remove each file from the old storage once its copy was read and compared. Only for servers that use the new one."`
	} `cmd:"" help:"Copy the pictures of --storage-fallback to --storage, or those of --storage to --to. It may be interrupted and run again. Run it as the user that runs the servers, with their options."`
}

// BackupCommands are what the commands for backups take.
type BackupCommands struct {
	Make struct {
		To         BackupPlace `arg:"" optional:"" help:"Where to: a folder, or s3://bucket[/prefix]?endpoint=https://host&region=name (default --backup-to, where --backup-keep holds then)."`
		Verify     bool        `help:"Read back everything that the backup consists of, also the pictures that were saved before."`
		WithSecret bool        `help:"Put the secret into the backup. Who can read it can do everything then."`
	} `cmd:"" default:"withargs" help:"Make a backup. This is the default. Pictures that were saved before are not copied again. The exit code is 1 if one is missing or damaged."`
	List  BackupFrom `cmd:"" help:"List the backups that are complete, the oldest first."`
	Check BackupFrom `cmd:"" help:"Read all backups, and compare them with what was saved. The exit code is 1 if something is missing or damaged."`
}

// BackupFrom names where backups are.
type BackupFrom struct {
	From BackupPlace `arg:"" optional:"" help:"Where the backups are (default --backup-to)."`
}

// RestoreCommand is what restore takes.
type RestoreCommand struct {
	From BackupPlace `arg:"" optional:"" help:"Where the backups are (default --backup-to)."`
	At   string      `placeholder:"TIME" help:"Restore the newest backup that was made then or before: 2026-01-31, 2026-01-31T12:00:00Z, or the name of a backup (default the newest of all)."`
}

// place is where the backups are that the command names, and the option that says so.
func (c commands) place(command string, o Options) (place BackupPlace, option string) {
	switch command {
	case BackupMake:
		place, option = c.Backup.Make.To, "to"
	case BackupList:
		place, option = c.Backup.List.From, "from"
	case BackupCheck:
		place, option = c.Backup.Check.From, "from"
	case Restore:
		place, option = c.Restore.From, "from"
	}
	return cmp.Or(place, o.BackupTo), option
}

// backupRules are what only the commands for backups require.
func backupRules(command string, place BackupPlace, option string, o Options) []rule {
	return []rule{
		{place == "", option, "DIR: missing; name the place of the backups, or give --backup-to"},
		{command == BackupMake && place != o.BackupTo && place.isWithin(o.DataDir), option, "DIR: " + backupWithinProblem},
		{o.lacksBackupKey(place), "backup-key-id", backupKeyProblem},
	}
}

// rules are what only the commands for the storage require.
func (c StorageCommands) rules(o Options) []rule {
	to := c.Move.To
	return []rule{
		{to == "" && o.StorageFallback == "", "to",
			"--to: missing; name the new storage, or give the options of servers that use it: --storage for the new and --storage-fallback for the old one"},
		{to != "" && c.Move.Remove, "remove",
			"--remove: servers that do not know the new storage would lose their pictures; restart them with --storage for the new and --storage-fallback for the old one, and give this command the same options without --to"},
		{to != "" && o.StorageFallback != "" && o.StorageFallback != to, "to",
			"--to: the pictures of --storage-fallback would stay behind; move them to --storage first, without --to"},
		{to.isS3() && (o.StorageKeyID == "" || o.StorageKeySecret == ""), "storage-key-id",
			"--storage-key-id: S3 needs --storage-key-id and --storage-key-secret"},
	}
}
