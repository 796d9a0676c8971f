using System.Net;

namespace OciRegistry;

/// <summary>
/// Other registries whose content is pulled through this one: fetched when it is first asked for, and kept. Each has a prefix
/// of its own among the repositories.
/// </summary>
public sealed class PullThroughOptions
{
    public IList<UpstreamOptions> Upstreams { get; } = [];

    /// <summary>How often content that nobody pulls any more is looked for, and removed.</summary>
    /// <value>1 h</value>
    [Setting(Min = "00:00:00.0000001", Max = "30.00:00:00")]
    public TimeSpan SweepInterval { get; set; } = TimeSpan.FromHours(1);

    /// <summary>
    /// The folder where content is kept on its way, for those who read it before it is whole: as much room as what is fetched
    /// at a time. Nothing is left there by a process that ends, however it ends.
    /// </summary>
    /// <value>null: the system's folder for temporary files</value>
    public string? SpoolFolder { get; set; }

    /// <summary>
    /// How long a replica waits for another one that is fetching the same content, before it fetches it itself.
    /// </summary>
    /// <value>2 s</value>
    [Setting(Min = "00:00:00", Max = "00:01:00")]
    public TimeSpan ReplicaWait { get; set; } = TimeSpan.FromSeconds(2);

    internal IEnumerable<string> Problems()
    {
        if (SweepInterval <= TimeSpan.Zero || SweepInterval > TimeSpan.FromDays(30))
        {
            yield return "PullThrough:SweepInterval must be positive, and 30 days at most. Leave it out for one hour.";
        }

        if (ReplicaWait < TimeSpan.Zero || ReplicaWait > TimeSpan.FromMinutes(1))
        {
            yield return "PullThrough:ReplicaWait must be from 00:00:00 to 00:01:00. Leave it out for 2 s.";
        }

        if (SpoolFolder is not null && !Directory.Exists(SpoolFolder))
        {
            yield return $"PullThrough:SpoolFolder is '{SpoolFolder}', which is no folder. Create it, or leave it out.";
        }

        for (var i = 0; i < Upstreams.Count; i++)
        {
            foreach (var problem in Upstreams[i].Problems())
            {
                yield return $"PullThrough:Upstreams:{i}:{problem}";
            }

            if (Upstreams.Take(i).Any(other => other.Prefix == Upstreams[i].Prefix))
            {
                yield return $"PullThrough:Upstreams:{i}:Prefix is '{Upstreams[i].Prefix}', which another upstream has. Give "
                    + "each its own.";
            }

            // Of upstreams with different paths each has the names below its own.
            var before = Upstreams.Take(i).Where(other => other.PathOfNames == Upstreams[i].PathOfNames).ToList();
            foreach (var host in Upstreams[i].AllNamespaces().Where(
                host => before.Any(other => other.AllNamespaces().Contains(host, StringComparer.OrdinalIgnoreCase))))
            {
                yield return $"PullThrough:Upstreams:{i}: '{host}' is another upstream's namespace already. Set Namespaces of "
                    + "one of them to something else.";
            }

            foreach (var host in Upstreams[i].MirrorHosts.Where(
                host => before.Any(other => other.MirrorHosts.Contains(host, StringComparer.OrdinalIgnoreCase))))
            {
                yield return $"PullThrough:Upstreams:{i}: '{host}' is in another upstream's MirrorHosts already. Remove it from one "
                    + "of them.";
            }
        }
    }
}

/// <summary>One registry whose content is pulled through this one.</summary>
public sealed class UpstreamOptions
{
    private static readonly string[] DockerHub = ["registry-1.docker.io", "index.docker.io", "docker.io"];

    /// <summary>What the names of its repositories begin with here: <c>hub</c> for <c>hub/library/alpine</c>.</summary>
    public string Prefix { get; set; } = "";

    /// <summary>
    /// Its address, such as <c>https://registry-1.docker.io</c>. A path in it is what the names of its repositories begin with
    /// there.
    /// </summary>
    public string Url { get; set; } = "";

    /// <summary>
    /// The hosts that containerd names with <c>?ns=</c> when it wants content of this upstream. Upstreams with different paths in
    /// <see cref="Url"/> can share a host: a full name, such as <c>my-project/app</c>, goes to the longest path that it begins with.
    /// </summary>
    /// <value>the host of <see cref="Url"/>; docker.io for Docker Hub</value>
    public IList<string> Namespaces { get; set => field = value ?? []; } = [];

    /// <summary>
    /// Names of this registry (<c>host</c> or <c>host:port</c>, or <c>*:port</c>) under which it is nothing but this upstream, for
    /// clients that can name neither prefix nor namespace: dockerd with <c>registry-mirrors</c>. Names are the upstream's full ones.
    /// </summary>
    /// <value>none</value>
    public IList<string> MirrorHosts { get; set => field = value ?? []; } = [];

    /// <summary>
    /// The account that content is fetched with; sent to the upstream and <see cref="TrustedRealms"/> only. May change while the registry
    /// runs, if nothing but accounts changes in the list.
    /// </summary>
    /// <value>null: anonymous</value>
    [Setting(MayChange = true)]
    public string? Username { get; set; }

    /// <summary>The account's password or access token. May change while the registry runs, as <see cref="Username"/>.</summary>
    /// <value>null</value>
    [Setting(IsSecret = true, MayChange = true)]
    public string? Password { get; set; }

    /// <summary>A file with the account's password, instead of <see cref="Password"/>. It is read again when it changes.</summary>
    /// <value>null</value>
    public string? PasswordFile { get; set; }

    /// <summary>
    /// Instead of name and password: a refresh token (docker calls it identity token) for the token service. May change while the registry
    /// runs, as <see cref="Username"/>.
    /// </summary>
    /// <value>null</value>
    [Setting(IsSecret = true, MayChange = true)]
    public string? RefreshToken { get; set; }

    /// <summary>
    /// Instead of all that: a token that is sent as it is, with every request. May change while the registry runs, as <see cref="Username"/>.
    /// </summary>
    /// <value>null</value>
    [Setting(IsSecret = true, MayChange = true)]
    public string? Token { get; set; }

    /// <summary>A file with that token, instead of <see cref="Token"/>. It is read again when it changes.</summary>
    /// <value>null</value>
    public string? TokenFile { get; set; }

    /// <summary>
    /// Instead of all that: a credential helper of docker that says the account, for ECR, Google and Azure registries. Set a path, or a name
    /// such as <c>ecr-login</c> for the program <c>docker-credential-ecr-login</c> on the PATH. It must end within <see cref="Timeout"/>.
    /// </summary>
    /// <value>null</value>
    public string? CredentialHelper { get; set; }

    /// <summary>How long the answer of <see cref="CredentialHelper"/> is used; a refused account is asked for again at once.</summary>
    /// <value>10 min</value>
    [Setting(Min = "00:00:10", Max = "12:00:00")]
    public TimeSpan CredentialTtl { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Hosts (with their port where it is not 443) of token services that may see the credentials, besides the upstream itself.
    /// </summary>
    /// <value>auth.docker.io for Docker Hub, else none</value>
    public IList<string> TrustedRealms { get; set => field = value ?? []; } = [];

    /// <summary>A PEM file with the certificates that its TLS certificate must lead to.</summary>
    /// <value>null: the system's</value>
    public string? CertificateAuthority { get; set; }

    /// <summary>A PEM file with the certificate that this registry shows, and the key in it or in <see cref="ClientKey"/>.</summary>
    /// <value>null</value>
    public string? ClientCertificate { get; set; }

    /// <summary>A PEM file with the key of <see cref="ClientCertificate"/>.</summary>
    /// <value>null</value>
    public string? ClientKey { get; set; }

    /// <summary>
    /// Whether its name, its token service and what it redirects to may lead to private, loopback and link-local addresses. An address
    /// in <see cref="Url"/> itself is allowed in any case, with the port there and those that <see cref="TrustedRealms"/> names for it.
    /// </summary>
    /// <value>false</value>
    public bool AllowPrivateAddresses { get; set; }

    /// <summary>
    /// The proxy of all requests for this upstream, its token service and redirects, as <c>http://proxy.example.com:3128</c>, also
    /// <c>https</c> and <c>socks5</c>, with name and password before an <c>@</c> if it needs them. A proxy resolves names itself, so a
    /// private address that only its name service knows is not rejected.
    /// </summary>
    /// <value>null: that of the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY</value>
    [Setting(IsSecret = true)]
    public string? Proxy { get; set => field = string.IsNullOrEmpty(value) ? null : value; }

    /// <summary>Repositories, as the upstream names them, that may be pulled: <c>*</c> is any text within a component, <c>**</c> any text.</summary>
    /// <value>none: all</value>
    public IList<string> Allow { get; set => field = value ?? []; } = [];

    /// <summary>Repositories, as the upstream names them, that may not be pulled, whatever <see cref="Allow"/> says.</summary>
    /// <value>none</value>
    public IList<string> Deny { get; set => field = value ?? []; } = [];

    /// <summary>How long a tag is taken for what it was, before the upstream is asked again; 00:00:00 asks each time.</summary>
    /// <value>5 min</value>
    [Setting(Min = "00:00:00")]
    public TimeSpan TagTtl { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How long content is kept after its last pull.</summary>
    /// <value>7 d</value>
    [Setting(Min = "00:01:00")]
    public TimeSpan ContentTtl { get; set; } = TimeSpan.FromDays(7);

    /// <summary>Bytes to keep; beyond, the least recently pulled content goes first.</summary>
    /// <value>null: no limit</value>
    [Setting(Min = "1")]
    public long? MaxBytes { get; set; }

    /// <summary>Whether the repositories below <see cref="Prefix"/> can be pushed to as well. What was pushed is never replaced.</summary>
    /// <value>false</value>
    public bool AllowPush { get; set; }

    /// <summary>How long an answer, and every further piece of a body, is waited for.</summary>
    /// <value>30 s</value>
    [Setting(Min = "00:00:00.1", Max = "00:10:00")]
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a whole answer may take that is read into memory: a manifest, a token, or a list of tags or referrers with all its
    /// pages. It includes redirects, logins and bodies. Blobs have no such limit.
    /// </summary>
    /// <value>1 min</value>
    [Setting(Min = "00:00:01", Max = "00:30:00")]
    public TimeSpan TotalTimeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>What the path of <see cref="Url"/> puts before the names of its repositories: empty, or ends with a slash.</summary>
    internal string PathOfNames =>
        Uri.TryCreate(Url, UriKind.Absolute, out var url) && url.AbsolutePath.Trim('/') is { Length: > 0 } path ? $"{path}/" : "";

    internal bool IsDockerHub => Uri.TryCreate(Url, UriKind.Absolute, out var url) && DockerHub.Contains(url.Host);

    /// <summary>The program of <see cref="CredentialHelper"/>: a path, or what docker calls it without <c>docker-credential-</c>; null where it is missing.</summary>
    internal string? CredentialHelperFile() =>
        CredentialHelper is not { } helper ? null
        : helper.Contains('/', StringComparison.Ordinal) ? (File.Exists(helper) ? helper : null)
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, $"docker-credential-{helper}"))
            .FirstOrDefault(File.Exists);

    internal IReadOnlyList<string> AllNamespaces() =>
        Namespaces.Count > 0 ? [.. Namespaces]
        : IsDockerHub ? ["docker.io", "registry-1.docker.io", "index.docker.io"]
        : Uri.TryCreate(Url, UriKind.Absolute, out var url) ? [url.Authority]
        : [];

    internal IReadOnlyList<string> AllTrustedRealms() => IsDockerHub ? [.. TrustedRealms, "auth.docker.io"] : [.. TrustedRealms];

    internal IEnumerable<string> Problems()
    {
        if (!RepositoryName.TryParse(Prefix, out _) || Prefix.Length > 100)
        {
            yield return $"Prefix is '{Prefix}'. Set it to what its repositories begin with here, such as hub or docker.io: "
                + "lower-case, at most 100 characters.";
        }

        if (!Uri.TryCreate(Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https")
            || url.UserInfo.Length > 0 || url.Query.Length > 0 || url.Fragment.Length > 0
            || (url.AbsolutePath.Trim('/') is { Length: > 0 } path && !RepositoryName.TryParse(path, out _)))
        {
            yield return $"Url is '{WithoutUserInfo(Url)}'. Set it to the registry's address, such as https://registry-1.docker.io; "
                + "credentials belong into Username and Password.";
        }
        else if (url.Scheme == "http" && HasCredentials && (!IsLoopback(url) || Proxy is not null))
        {
            yield return "Url is http, over which everybody can read the credentials. Use https.";
        }

        if ((Username is null) != (Password is null && PasswordFile is null))
        {
            yield return "Username and Password belong together. Set Username and either Password or PasswordFile, or none.";
        }

        if (Password is not null && PasswordFile is not null)
        {
            yield return "Password and PasswordFile are mutually exclusive. Set only one.";
        }

        if (Token is not null && TokenFile is not null)
        {
            yield return "Token and TokenFile are mutually exclusive. Set only one.";
        }

        if (new[] { Username, RefreshToken, Token ?? TokenFile, CredentialHelper }.Count(credential => credential is not null) > 1)
        {
            yield return "Username, RefreshToken, Token and CredentialHelper are mutually exclusive. Set only one.";
        }

        if (Token is not null && !SecretFile.IsToken(Token))
        {
            yield return Token.Length == 0
                ? "Token is empty. Set it, or leave it out."
                : "Token has a space, or a character that is not ASCII. Copy it anew.";
        }

        foreach (var problem in SecretFile.Problems(PasswordFile, isToken: false))
        {
            yield return $"PasswordFile {problem}";
        }

        foreach (var problem in SecretFile.Problems(TokenFile, isToken: true))
        {
            yield return $"TokenFile {problem}";
        }

        if (CredentialHelper is not null && CredentialHelperFile() is null)
        {
            yield return CredentialHelper.Contains('/', StringComparison.Ordinal)
                ? $"CredentialHelper is '{CredentialHelper}', which does not exist. Install it, or correct the path."
                : $"CredentialHelper is '{CredentialHelper}', but the PATH has no docker-credential-{CredentialHelper}. Install it, or set its path.";
        }

        if (CredentialTtl < TimeSpan.FromSeconds(10) || CredentialTtl > TimeSpan.FromHours(12))
        {
            yield return $"CredentialTtl is {CredentialTtl}. Set it to a time from 00:00:10 to 12:00:00.";
        }

        if (Username?.Contains(':', StringComparison.Ordinal) == true)
        {
            yield return "Username has a colon, which no name has. Correct it.";
        }

        foreach (var host in Namespaces.Concat(TrustedRealms).Where(host => !IsHost(host)))
        {
            yield return $"'{host}' in Namespaces or TrustedRealms is no host. Write it like ghcr.io or registry.example.com:5000.";
        }

        foreach (var host in MirrorHosts.Where(host => !IsHost(host.StartsWith("*:", StringComparison.Ordinal) ? "x" + host[1..] : host)))
        {
            yield return $"'{host}' in MirrorHosts is no host. Write it like mirror.example.com, localhost:5001 or *:5001.";
        }

        foreach (var problem in OciRegistry.CertificateAuthority.Problems(CertificateAuthority))
        {
            yield return $"CertificateAuthority {problem}";
        }

        if (CertificateAuthority is not null && url?.Scheme == Uri.UriSchemeHttp && Proxy is null)
        {
            yield return "CertificateAuthority verifies nothing, because Url is http. Use https, or leave it out.";
        }

        foreach (var file in new[] { ClientCertificate, ClientKey }.Where(file => file is not null && !File.Exists(file)))
        {
            yield return $"ClientCertificate or ClientKey is '{file}', which is no file. Correct it.";
        }

        if (Proxy is not null && !(Uri.TryCreate(Proxy, UriKind.Absolute, out var proxy) && proxy.Scheme is "http" or "https" or "socks5"
            && proxy.Host.Length > 0 && proxy.PathAndQuery == "/" && proxy.Fragment.Length == 0))
        {
            yield return $"Proxy is '{WithoutUserInfo(Proxy)}'. Write the address of a proxy, as http://proxy.example.com:3128.";
        }

        if (ClientKey is not null && ClientCertificate is null)
        {
            yield return "ClientKey stands without ClientCertificate. Set both, or none.";
        }

        if (TagTtl < TimeSpan.Zero)
        {
            yield return "TagTtl must not be negative. Leave it out for 5 min; 00:00:00 asks the upstream each time.";
        }

        if (ContentTtl < TimeSpan.FromMinutes(1))
        {
            yield return "ContentTtl must be 00:01:00 or more. Leave it out for 7 days.";
        }

        if (MaxBytes is <= 0)
        {
            yield return "MaxBytes must be positive. Leave it out for no limit.";
        }

        if (Timeout < TimeSpan.FromMilliseconds(100) || Timeout > TimeSpan.FromMinutes(10))
        {
            yield return $"Timeout is {Timeout}. Set it to a time from 00:00:00.1 to 00:10:00.";
        }

        if (TotalTimeout < TimeSpan.FromSeconds(1) || TotalTimeout > TimeSpan.FromMinutes(30))
        {
            yield return $"TotalTimeout is {TotalTimeout}. Set it to a time from 00:00:01 to 00:30:00.";
        }
    }

    private bool HasCredentials =>
        Username is not null || RefreshToken is not null || Token is not null || TokenFile is not null || CredentialHelper is not null;

    private static bool IsLoopback(Uri url) => IPAddress.TryParse(url.Host, out var address) ? IPAddress.IsLoopback(address) : url.IsLoopback;

    private static bool IsHost(string host) =>
        Uri.TryCreate($"https://{host}", UriKind.Absolute, out var uri) && uri.AbsolutePath == "/" && uri.UserInfo.Length == 0
        && host.All(c => c is > ' ' and <= '~' and not ('/' or '?' or '#' or '@'));

    // An address with a password in it must not be repeated in a log.
    private static string WithoutUserInfo(string url) =>
        url.LastIndexOf('@') is >= 0 and var at ? $"...{url[at..]}" : url;
}
