using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>
/// What the files of <see cref="AuthOptions"/> say now: users, policies, keys, authorities. A file that changes into one that
/// cannot be used counts as it was before.
/// </summary>
internal sealed class AuthFiles
{
    private const string UsersKind = "users";
    private const string SigningKeysKind = "signing_keys";
    private const string AuthoritiesKind = "client_authorities";
    private const string PoliciesKind = "policies";

    private static readonly Dictionary<string, IReadOnlyList<string>> NoGroups = [];

    private readonly Func<IList<PolicyOptions>> _configured;
    private readonly WatchedFile<Htpasswd>? _users;
    private readonly WatchedFile<IReadOnlyList<PolicyRule>>? _policies;
    private readonly WatchedFile<IReadOnlyList<SigningKey>>? _signingKeys;
    private readonly WatchedFile<X509Certificate2Collection>? _authorities;
    private volatile KnownPolicies? _known;

    /// <exception cref="OptionsValidationException">Files cannot be used, with all that is wrong with them.</exception>
    public AuthFiles(IOptions<OciRegistryOptions> options)
        : this(options.Value.Auth, () => options.Value.Auth.Policies, out var problems)
    {
        if (problems.Count > 0)
        {
            throw new OptionsValidationException(Options.DefaultName, typeof(OciRegistryOptions), problems);
        }
    }

    private AuthFiles(AuthOptions options, Func<IList<PolicyOptions>> configured, out List<string> problems)
    {
        _configured = configured;
        problems = [];
        _users = Open(options.Htpasswd, (path, content) => Htpasswd.Parse(path, content), problems);
        _policies = Open(options.PolicyFile, (path, content) => PolicyFile.Parse(path, content), problems);
        _signingKeys = Open(options.Tokens.SigningKeys, SigningKey.FromPem, problems);
        _authorities = Open(options.ClientCertificates.Authority, CertificateAuthority.Parse, problems);
        foreach (var issuer in options.Issuers)
        {
            problems.AddRange(CertificateAuthority.Problems(issuer.CertificateAuthority));
        }
    }

    public Htpasswd? Users => _users?.Value;

    /// <summary>What the settings, as they are for the request, and the policy file say together.</summary>
    public PolicySet Policies
    {
        get
        {
            var (configured, filed) = (_configured(), _policies?.Value);
            if (_known is not { } known || known.Configured != configured || known.Filed != filed)
            {
                _known = known = new KnownPolicies(configured, filed, Combine(configured, filed ?? []));
            }

            return known.Set;
        }
    }

    /// <summary>Null when they are not in a file.</summary>
    public IReadOnlyList<SigningKey>? SigningKeys => _signingKeys?.Value;

    /// <summary>Whom client certificates must lead to; null when they are no identities.</summary>
    public X509Certificate2Collection? ClientAuthorities => _authorities?.Value;

    /// <summary>What the files of these options say; one that cannot be used says nothing.</summary>
    public static AuthFiles Of(AuthOptions options) => new(options, () => options.Policies, out _);

    /// <summary>All that is wrong with the files, each sentence with its remedy.</summary>
    public static IReadOnlyList<string> Problems(AuthOptions options)
    {
        _ = new AuthFiles(options, () => options.Policies, out var problems);
        return problems;
    }

    /// <summary>The kinds of the files that there are, as the metrics name them.</summary>
    public IEnumerable<string> Kinds
    {
        get
        {
            (string Kind, bool IsThere)[] all =
            [
                (UsersKind, _users is not null), (SigningKeysKind, _signingKeys is not null),
                (AuthoritiesKind, _authorities is not null), (PoliciesKind, _policies is not null),
            ];
            return all.Where(one => one.IsThere).Select(one => one.Kind);
        }
    }

    /// <summary>Looks at the files again; yields those that have changed, and what is wrong with them.</summary>
    public IEnumerable<(string Kind, string Path, UnusableFileException? Problem)> Refresh()
    {
        var changes = new List<(string, string, UnusableFileException?)>();
        Refresh(UsersKind, _users, changes);
        Refresh(SigningKeysKind, _signingKeys, changes);
        Refresh(AuthoritiesKind, _authorities, changes);
        Refresh(PoliciesKind, _policies, changes);
        return changes;
    }

    private static void Refresh<T>(string kind, WatchedFile<T>? file, List<(string, string, UnusableFileException?)> changes)
        where T : class
    {
        try
        {
            if (file?.Refresh() == true)
            {
                changes.Add((kind, file.Path, null));
            }
        }
        catch (UnusableFileException e)
        {
            changes.Add((kind, file!.Path, e));
        }
    }

    private static WatchedFile<T>? Open<T>(string? path, Func<string, byte[], T> parse, List<string> problems)
        where T : class
    {
        try
        {
            return path is null ? null : new WatchedFile<T>(path, parse);
        }
        catch (UnusableFileException e)
        {
            problems.AddRange(e.Problems);
            return null;
        }
    }

    private static PolicySet Combine(IList<PolicyOptions> configured, IReadOnlyList<PolicyRule> filed) => new(
    [
        .. configured.Select((policy, i) => new PolicyRule(
            $"policy {i} of the settings" + (policy.Name is null ? "" : $" '{policy.Name}'"), policy, NoGroups)),
        .. filed,
    ]);

    // Of a request that came before a change the next one makes others: both are right, and each knows of what.
    private sealed record KnownPolicies(IList<PolicyOptions> Configured, IReadOnlyList<PolicyRule>? Filed, PolicySet Set);
}

/// <summary>Looks at the files every second.</summary>
internal sealed partial class AuthFilesService(AuthFiles files, RegistryMetrics metrics, TimeProvider time, ILoggerFactory logs)
    : BackgroundService
{
    /// <summary>What the log calls everything that an auditor reads.</summary>
    internal const string AuditCategory = "OciRegistry.Audit";

    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var log = logs.CreateLogger(AuditCategory);
        using var timer = new PeriodicTimer(Interval, time);
        foreach (var kind in files.Kinds)
        {
            metrics.FileRead(kind, isRejected: false);
        }

        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var (kind, path, problem) in files.Refresh())
            {
                metrics.FileRead(kind, isRejected: problem is not null);
                if (problem is null)
                {
                    LogChanged(log, path);
                }
                else
                {
                    LogKept(log, path, problem.Message);
                }
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "'{File}' has changed; what it says now counts from here on.")]
    private static partial void LogChanged(ILogger logger, string file);

    [LoggerMessage(LogLevel.Error, "'{File}' has changed into something that cannot be used, so what it said before still counts. {Problem}")]
    private static partial void LogKept(ILogger logger, string file, string problem);
}
