namespace OciRegistry;

/// <summary>
/// Who may do what. Without any of these settings the registry is open: everybody may do everything. As soon as one source
/// of identities or one policy is configured, what no policy allows is denied.
/// </summary>
public sealed class AuthOptions
{
    /// <summary>
    /// The explicit word for an open registry that others can reach: everybody may do everything. Without it the program refuses
    /// to listen beyond its machine while nobody has to log in.
    /// </summary>
    /// <value>false</value>
    public bool AllowAnonymous { get; set; }

    /// <summary>
    /// The file with users and the bcrypt hashes of their passwords, as <c>htpasswd -B</c> writes it; read again when it
    /// changes. Its users are the subjects <c>user:NAME</c>.
    /// </summary>
    /// <value>null: no users</value>
    public string? Htpasswd { get; set; }

    /// <summary>
    /// Whether robot accounts may log in, with the name <c>robot+NAME</c>. They are kept in the storage, each with what it
    /// may do, and are the subjects <c>robot:NAME</c>.
    /// </summary>
    /// <value>false</value>
    public bool Robots { get; set; }

    /// <summary>OpenID Connect providers whose tokens are accepted, as Bearer and as the password of a login.</summary>
    public IList<IssuerOptions> Issuers { get; } = [];

    /// <summary>TLS client certificates as identities.</summary>
    public ClientCertificateOptions ClientCertificates { get; } = new();

    /// <summary>
    /// What subjects may do, besides what <see cref="PolicyFile"/> says. May change while the registry runs; but whether anybody
    /// has to log in stays what it was at the start.
    /// </summary>
    [Setting(MayChange = true)]
    public IList<PolicyOptions> Policies { get; } = [];

    /// <summary>A JSON file with policies and groups; read again when it changes.</summary>
    /// <value>null: none</value>
    public string? PolicyFile { get; set; }

    /// <summary>
    /// Whether requests may carry a name and password themselves. Without, those are exchanged for a token at
    /// <c>/token</c> first, which all clients do by themselves.
    /// </summary>
    /// <value>true</value>
    public bool Basic { get; set; } = true;

    /// <summary>The built-in token service.</summary>
    public TokenOptions Tokens { get; } = new();

    /// <summary>
    /// Failed logins in a minute from one address (of IPv6, one network of 64 bits, and four times as many from one of 56
    /// bits), after which further ones are answered 429 without being looked at. Users who have logged in from there in the last
    /// 30 days still can: each may fail as often again. May change while the registry runs; failures before are forgotten then.
    /// </summary>
    /// <value>10</value>
    [Setting(MayChange = true, Min = "1")]
    public int MaxFailedLogins { get; set; } = 10;

    /// <summary>How long the answer to a failed login is held back. May change while the registry runs.</summary>
    /// <value>1 s</value>
    [Setting(MayChange = true, Min = "00:00:00", Max = "00:01:00")]
    public TimeSpan FailedLoginDelay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Repositories whose pulls are in the audit log, a line for each manifest and blob that is sent: patterns as those of policies,
    /// <c>**</c> for all. Pushes and deletes always are. May change while the registry runs.
    /// </summary>
    [Setting(MayChange = true)]
    public IList<string> AuditPulls { get; } = [];

    /// <summary>Whether anybody has to log in for anything.</summary>
    internal bool IsRequired =>
        Htpasswd is not null || Robots || Issuers.Count > 0 || ClientCertificates.Authority is not null
        || Policies.Count > 0 || PolicyFile is not null;

    /// <summary>Whether the built-in token service runs.</summary>
    internal bool IssuesTokens => IsRequired && Tokens.Enabled;

    internal IEnumerable<string> Problems()
    {
        if (AllowAnonymous && IsRequired)
        {
            yield return "Auth:AllowAnonymous opens the registry to everybody, but there are other settings of Auth. Leave it "
                + "out, and give the subject 'anonymous' a policy for what everybody may do.";
        }

        if (IsRequired && !Basic && !Tokens.Enabled && Issuers.Count == 0 && ClientCertificates.Authority is null)
        {
            yield return "Auth:Basic and Auth:Tokens:Enabled are both false: nobody can log in. Leave one of them out.";
        }

        if (MaxFailedLogins < 1)
        {
            yield return $"Auth:MaxFailedLogins is {MaxFailedLogins}. Set it to 1 or more.";
        }

        if (FailedLoginDelay < TimeSpan.Zero || FailedLoginDelay > TimeSpan.FromMinutes(1))
        {
            yield return $"Auth:FailedLoginDelay is {FailedLoginDelay}. Set it to a time from 00:00:00 to 00:01:00.";
        }

        foreach (var pattern in AuditPulls.Where(pattern => !PolicyOptions.IsRepositoryPattern(pattern)))
        {
            yield return $"Auth:AuditPulls has '{pattern}', which can match no repository. Write lower-case names, with '*' and '**' if you like.";
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < Issuers.Count; i++)
        {
            foreach (var problem in Issuers[i].Problems())
            {
                yield return $"Auth:Issuers:{i}:{problem}";
            }

            if (!names.Add(Issuers[i].Name))
            {
                yield return $"Auth:Issuers:{i}:Name is '{Issuers[i].Name}', which another issuer has. Give each its own.";
            }
        }

        for (var i = 0; i < Policies.Count; i++)
        {
            foreach (var problem in Policies[i].Problems())
            {
                yield return $"Auth:Policies:{i}: {problem}";
            }
        }

        foreach (var problem in Tokens.Problems())
        {
            yield return $"Auth:Tokens:{problem}";
        }
    }
}

/// <summary>The built-in token service (distribution's token protocol), at <c>/token</c>.</summary>
public sealed class TokenOptions
{
    /// <summary>Tokens may have at most this life: they name groups, which others may take away meanwhile.</summary>
    internal static readonly TimeSpan MaxLifetime = TimeSpan.FromHours(1);

    /// <summary>
    /// Whether clients are sent to <c>/token</c>, whose keys are at <c>/token/keys</c>; without, they send name and password with
    /// each request.
    /// </summary>
    /// <value>true</value>
    public bool Enabled { get; set; } = true;

    /// <summary>How long a token is good for; an upload that it has started may go on for a day.</summary>
    /// <value>5 min</value>
    [Setting(Min = "00:00:01", Max = "01:00:00")]
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a client may get new tokens without the password; not less than <see cref="Lifetime"/>.</summary>
    /// <value>30 d</value>
    [Setting(Min = "00:00:01")]
    public TimeSpan RefreshLifetime { get; set; } = TimeSpan.FromDays(30);

    /// <summary>The registry's name in challenges and tokens: issuer and audience. All replicas have the same.</summary>
    /// <value>oci-registry</value>
    public string Service { get; set; } = "oci-registry";

    /// <summary>
    /// The address of <c>/token</c> as clients reach it, where it is not that of the request: behind a proxy that does not
    /// say which scheme and host it was asked for.
    /// </summary>
    /// <value>null: on the scheme and host of the request</value>
    public string? Realm { get; set; }

    /// <summary>
    /// A PEM file with one or more EC P-256 private keys: the first signs, all verify. Read again when it changes.
    /// </summary>
    /// <value>null: keys are made, rotated and kept in the storage, for all replicas</value>
    public string? SigningKeys { get; set; }

    /// <summary>After how long a signing key in the storage is replaced. What it has signed stays good.</summary>
    /// <value>30 d</value>
    [Setting(Min = "01:00:00")]
    public TimeSpan RotateEvery { get; set; } = TimeSpan.FromDays(30);

    internal IEnumerable<string> Problems()
    {
        if (Lifetime < TimeSpan.FromSeconds(1) || Lifetime > MaxLifetime)
        {
            yield return $"Lifetime is {Lifetime}. Set it to a time from 00:00:01 to {MaxLifetime}.";
        }

        if (RefreshLifetime < Lifetime)
        {
            yield return $"RefreshLifetime ({RefreshLifetime}) is shorter than Auth:Tokens:Lifetime ({Lifetime}). Raise it.";
        }

        if (RotateEvery < TimeSpan.FromHours(1))
        {
            yield return $"RotateEvery is {RotateEvery}. Set it to 01:00:00 or more.";
        }

        if (Service.Length is 0 or > 255 || Service.Any(c => c is < ' ' or > '~' or '"' or '\\'))
        {
            yield return "Service must be 1 to 255 printable ASCII characters without '\"' and '\\'. Set it to a name such as "
                + "registry.example.com.";
        }

        // Jib appends its own query to the realm.
        if (Realm is not null
            && !(Uri.TryCreate(Realm, UriKind.Absolute, out var realm) && realm.Scheme is "http" or "https"
                && Realm.All(c => c is > ' ' and <= '~' and not ('"' or '\\' or '?' or '#'))))
        {
            yield return $"Realm is '{Realm}'. Set it to an address without query, such as https://registry.example.com/token.";
        }
    }
}

/// <summary>An OpenID Connect provider whose tokens say who somebody is.</summary>
public sealed class IssuerOptions
{
    private static readonly string[] Reserved = ["user", "robot", "cert"];

    /// <summary>
    /// What the subjects and groups of its tokens begin with: <c>NAME:subject</c>. Lower-case letters, digits and '-', up to 32.
    /// </summary>
    public string Name { get; set; } = "";

    /// <summary>Its https address; <c>/.well-known/openid-configuration</c> below it says where its keys are.</summary>
    public string Authority { get; set; } = "";

    /// <summary>Whom its tokens must be meant for: what they have in <c>aud</c>.</summary>
    public string Audience { get; set; } = "";

    /// <summary>The claim that says who it is.</summary>
    /// <value>sub</value>
    public string SubjectClaim { get; set; } = "sub";

    /// <summary>The claim that lists groups or roles.</summary>
    /// <value>groups</value>
    public string GroupsClaim { get; set; } = "groups";

    /// <summary>A PEM file with the certificates that its TLS certificate must lead to, where the system does not know them.</summary>
    /// <value>null: the system's</value>
    public string? CertificateAuthority { get; set; }

    internal IEnumerable<string> Problems()
    {
        if (Name.Length is 0 or > 32 || !Name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-')
            || Reserved.Contains(Name))
        {
            yield return $"Name is '{Name}'. Set it to lower-case letters, digits and '-', other than {string.Join(", ", Reserved)}.";
        }

        if (!Uri.TryCreate(Authority, UriKind.Absolute, out var authority)
            || !(authority.Scheme == "https" || (authority.Scheme == "http" && authority.IsLoopback)))
        {
            yield return $"Authority is '{Authority}'. Set it to the issuer's https address.";
        }

        if (string.IsNullOrWhiteSpace(Audience))
        {
            yield return "Audience is missing. Set it to what the issuer's tokens have in 'aud': without it a token that was "
                + "issued for anything else would do.";
        }

        if (string.IsNullOrWhiteSpace(SubjectClaim) || string.IsNullOrWhiteSpace(GroupsClaim))
        {
            yield return "SubjectClaim and GroupsClaim must not be empty. Leave them out for sub and groups.";
        }
    }
}

/// <summary>
/// TLS client certificates as identities: <c>cert:</c> and the certificate's URI (a SPIFFE id, say), or without one <c>cert:cn:</c>
/// and its common name. A certificate with several URIs is not an identity.
/// </summary>
public sealed class ClientCertificateOptions
{
    /// <summary>
    /// A PEM file with the certificates of the authorities that client certificates must lead to, roots and those between.
    /// </summary>
    /// <value>null: client certificates are no identities</value>
    public string? Authority { get; set; }
}

/// <summary>One rule of what subjects may do: each of its subjects and groups may do each action in each repository.</summary>
public sealed class PolicyOptions
{
    internal static readonly string[] KnownActions = ["pull", "push", "create-only", "delete", "admin"];

    /// <summary>What it is called when it is explained who may do what.</summary>
    /// <value>null: its number</value>
    public string? Name { get; set; }

    /// <summary>
    /// Subjects such as <c>user:alice</c> or <c>github:repo:team/**</c>; <c>authenticated</c> is everybody who has logged in,
    /// <c>anonymous</c> everybody who has not.
    /// </summary>
    public IList<string> Subjects { get; set => field = value ?? []; } = [];

    /// <summary>Groups of the policy file, or <c>ISSUER:GROUP</c> of a token's.</summary>
    public IList<string> Groups { get; set => field = value ?? []; } = [];

    /// <summary>Names of repositories: <c>*</c> is any text within a component, <c>**</c> any text.</summary>
    public IList<string> Repositories { get; set => field = value ?? []; } = [];

    /// <summary>
    /// <c>pull</c>; <c>push</c>; <c>create-only</c>: push, but no tag that exists may move; <c>delete</c>; <c>admin</c>:
    /// administer the repositories with <c>/admin</c>, make robots for them with the actions that the subject has there, see and end
    /// their uploads; in <c>**</c>, be an operator, to whom all of <c>/admin</c> is open.
    /// </summary>
    [Setting(Values = "pull push create-only delete admin")]
    public IList<string> Actions { get; set => field = value ?? []; } = [];

    internal IEnumerable<string> Problems()
    {
        if (Subjects.Count + Groups.Count == 0)
        {
            yield return "It names no Subjects and no Groups. Say whom it is for; everybody is 'authenticated' and 'anonymous'.";
        }

        if (Actions.Count == 0)
        {
            yield return $"It has no Actions. Say what it allows: {string.Join(", ", KnownActions)}.";
        }

        foreach (var action in Actions.Where(action => !KnownActions.Contains(action)))
        {
            yield return $"Its action '{action}' is unknown. Use {string.Join(", ", KnownActions)}.";
        }

        if (Repositories.Count == 0)
        {
            yield return "It names no Repositories. Say where it holds; all of them are '**'.";
        }

        foreach (var subject in Subjects.Where(subject => !IsSubject(subject)))
        {
            yield return $"Its subject '{subject}' is none. Write user:NAME, robot:NAME, cert:cn:NAME, cert:URI or ISSUER:NAME, with "
                + "'*' and '**' if you like, or the words authenticated or anonymous.";
        }

        foreach (var subject in Subjects.Where(IsBareCertificate))
        {
            yield return $"Its subject '{subject}' is no certificate's. Write {Auth.Caller.CertificatePrefix}{Auth.Caller.CommonNamePrefix}"
                + $"{subject[Auth.Caller.CertificatePrefix.Length..]} for a common name, or cert:spiffe://... for a URI.";
        }

        foreach (var repository in Repositories.Where(repository => !IsRepositoryPattern(repository)))
        {
            yield return $"Its repository '{repository}' can match none. Write lower-case names, with '*' and '**' if you like.";
        }

        if (Groups.Any(string.IsNullOrWhiteSpace))
        {
            yield return "One of its groups has no name. Leave it out.";
        }
    }

    // A pattern without a kind before the ':' would, as "**", also be whoever an issuer of tomorrow names.
    private static bool IsSubject(string subject) =>
        subject is "authenticated" or "anonymous"
        || (subject.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon
            && colon < subject.Length - 1
            && !subject.AsSpan(0, colon).Contains('*'));

    // A common name once had no prefix of its own: such a rule would silently name no certificate any more.
    private static bool IsBareCertificate(string subject)
    {
        if (!subject.StartsWith(Auth.Caller.CertificatePrefix, StringComparison.Ordinal))
        {
            return false;
        }

        var name = subject.AsSpan(Auth.Caller.CertificatePrefix.Length);
        var end = name.IndexOfAny(':', '*');
        return end < 0 || (end > 0 && name[end] == '*');
    }

    internal static bool IsRepositoryPattern(string pattern) =>
        RepositoryName.TryParse(
            pattern.Replace("**", "x", StringComparison.Ordinal).Replace("*", "x", StringComparison.Ordinal), out _);
}
