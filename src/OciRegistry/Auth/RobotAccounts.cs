using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using OciRegistry.Storage;

namespace OciRegistry.Auth;

/// <summary>
/// Accounts of programs, in the storage: so all replicas have them, and each request sees what was changed before it. The
/// secret is random and shown once; its hash is kept.
/// </summary>
internal sealed class RobotAccounts(IDocumentStore documents, TimeProvider time)
{
    /// <summary>What their names begin with at a login: no user's does.</summary>
    public const string LoginPrefix = "robot+";

    // What scanners for leaked secrets can look for.
    private const string SecretPrefix = "ocirobot_";

    private const int MinRead = 100; // names at a time, where few of them are wanted

    private readonly ConditionalWeakTable<Document, Robot> _parsed = [];

    /// <summary>The robot, expired or not; null when there is none.</summary>
    public async ValueTask<Robot?> FindAsync(string name, CancellationToken cancellationToken)
    {
        if (NameProblem(name) is not null
            || await documents.ReadAsync(RegistryLayout.Robot(name), cancellationToken) is not { } document)
        {
            return null;
        }

        return Of(name, document);
    }

    /// <summary>The robot that has this secret, and has not expired; null when there is none.</summary>
    public async ValueTask<Robot?> VerifyAsync(string name, string secret, CancellationToken cancellationToken)
    {
        var robot = await FindAsync(name, cancellationToken);
        var isRight = CryptographicOperations.FixedTimeEquals(
            Encoding.ASCII.GetBytes(Hash(secret)), Encoding.ASCII.GetBytes(robot?.SecretHash ?? Hash("")));
        return isRight && robot is not null && !robot.HasExpired(time.GetUtcNow()) ? robot : null;
    }

    /// <summary>A new robot, and its secret; null when there is one of this name.</summary>
    public async ValueTask<(Robot Robot, string Secret)?> CreateAsync(
        string name, PolicyOptions policy, DateTimeOffset? expires, string? createdBy, CancellationToken cancellationToken)
    {
        var secret = SecretPrefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        var robot = new Robot
        {
            Name = name,
            SecretHash = Hash(secret),
            Repositories = [.. policy.Repositories],
            Actions = [.. policy.Actions],
            Created = time.GetUtcNow(),
            CreatedBy = createdBy,
            Expires = expires,
        };
        var written = await documents.WriteAsync(
            RegistryLayout.Robot(name),
            JsonSerializer.SerializeToUtf8Bytes(robot, RobotJson.Default.Robot),
            WriteCondition.Absent,
            Durability.Synced,
            cancellationToken);
        return written is null ? null : (robot, secret);
    }

    /// <summary>From now on neither its secret nor its tokens do; false when there is none.</summary>
    public ValueTask<bool> RevokeAsync(string name, CancellationToken cancellationToken) => NameProblem(name) is null
        ? documents.DeleteAsync(RegistryLayout.Robot(name), WriteCondition.None, Durability.Synced, cancellationToken)
        : ValueTask.FromResult(false);

    /// <summary>
    /// Revokes a robot that fulfils a condition, and no other that has its name by then; false when there is none.
    /// </summary>
    public async ValueTask<bool> RevokeAsync(string name, Func<Robot, bool> mayRevoke, CancellationToken cancellationToken) =>
        NameProblem(name) is null
        && await documents.ReadAsync(RegistryLayout.Robot(name), cancellationToken) is { } document
        && Of(name, document) is { } robot
        && mayRevoke(robot)
        && await documents.DeleteAsync(
            RegistryLayout.Robot(name), WriteCondition.Unchanged(document.Version), Durability.Synced, cancellationToken);

    /// <summary>Robots after a name that fulfil a condition, in its order; fewer than the limit when there are no more.</summary>
    public async ValueTask<IReadOnlyList<Robot>> ListAsync(
        string? after, int limit, Func<Robot, bool> isWanted, CancellationToken cancellationToken)
    {
        var robots = new List<Robot>();
        while (robots.Count < limit)
        {
            var names = await documents.ListAsync(
                RegistryLayout.Robots, static name => NameProblem(name) is null, after, Math.Max(limit, MinRead), cancellationToken);
            if (names.Count == 0)
            {
                break;
            }

            foreach (var name in names)
            {
                if (robots.Count < limit && await FindAsync(name, cancellationToken) is { } robot && isWanted(robot))
                {
                    robots.Add(robot);
                }
            }

            after = names[^1];
        }

        return robots;
    }

    /// <summary>Why a name cannot be a robot's; null when it can.</summary>
    public static string? NameProblem(string name) =>
        name.Length is 0 or > 64 || !char.IsAsciiLetterOrDigit(name[0])
        || name.Any(c => !char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('-' or '.' or '_'))
            ? "A robot's name is 1 to 64 lower-case letters, digits, '-', '.' and '_', and begins with a letter or digit."
            : null;

    private Robot? Of(string name, Document document) =>
        _parsed.TryGetValue(document, out var known) ? known : Parse(name, document);

    private Robot? Parse(string name, Document document)
    {
        try
        {
            var robot = JsonSerializer.Deserialize(document.Content.Span, RobotJson.Default.Robot);
            if (robot?.Name != name || robot.Policy.Problems().Any())
            {
                return null;
            }

            _parsed.AddOrUpdate(document, robot);
            return robot;
        }
        catch (JsonException)
        {
            return null; // another release's: who cannot be read has no rights
        }
    }

    // A random secret of 256 bits needs no slow hash: there are no likely ones to try.
    private static string Hash(string secret) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));
}

/// <summary>A robot account's document.</summary>
internal sealed record Robot
{
    private static readonly Dictionary<string, IReadOnlyList<string>> NoGroups = [];

    private PolicyRule? _rule;

    public required string Name { get; init; }

    public required string SecretHash { get; init; }

    public required IReadOnlyList<string> Repositories { get; init; }

    public required IReadOnlyList<string> Actions { get; init; }

    public required DateTimeOffset Created { get; init; }

    /// <summary>The subject that made it through the API; null on the command line.</summary>
    public string? CreatedBy { get; init; }

    /// <summary>Null when it does not.</summary>
    public DateTimeOffset? Expires { get; init; }

    public string Subject => Caller.RobotPrefix + Name;

    public string Credential => Secrets.Fingerprint(SecretHash);

    public PolicyOptions Policy => new() { Subjects = [Subject], Repositories = [.. Repositories], Actions = [.. Actions] };

    public PolicyRule Rule => _rule ??= new PolicyRule($"the policy of robot '{Name}'", Policy, NoGroups);

    public bool HasExpired(DateTimeOffset now) => Expires <= now;
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    IgnoreReadOnlyProperties = true)]
[JsonSerializable(typeof(Robot))]
internal sealed partial class RobotJson : JsonSerializerContext;
