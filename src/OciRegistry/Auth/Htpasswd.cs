using System.Security.Cryptography;
using System.Text;

namespace OciRegistry.Auth;

/// <summary>The users of an htpasswd file: a line <c>NAME:HASH</c> each, where the hash is bcrypt's.</summary>
internal sealed class Htpasswd
{
    // 2^14 rounds take about a second: whoever may log in may ask for one.
    internal const int MinCost = 4;
    internal const int MaxCost = 14;
    internal const int DefaultCost = 10;

    private const int HashLength = 60;

    private readonly Dictionary<string, HtpasswdUser> _users;

    private Htpasswd(Dictionary<string, HtpasswdUser> users)
    {
        _users = users;

        // Somebody who is not there takes as long as somebody who is.
        var cost = users.Values.Select(user => user.Cost).DefaultIfEmpty(DefaultCost).Max();
        Nobody = new HtpasswdUser("", BCrypt.Net.BCrypt.HashPassword(Convert.ToHexString(RandomNumberGenerator.GetBytes(16)), cost));
    }

    /// <summary>Whom nobody can be.</summary>
    public HtpasswdUser Nobody { get; }

    public IEnumerable<string> Names => _users.Keys.Order(StringComparer.Ordinal);

    public HtpasswdUser? Find(string name) => _users.GetValueOrDefault(name);

    /// <exception cref="UnusableFileException">Lines cannot be used: all of them, by number.</exception>
    public static Htpasswd Parse(string path, ReadOnlySpan<byte> content)
    {
        var users = new Dictionary<string, HtpasswdUser>(StringComparer.Ordinal);
        var problems = new List<string>();
        var number = 0;
        foreach (var line in Encoding.UTF8.GetString(content).Split('\n'))
        {
            number++;
            var text = line.TrimEnd('\r', ' ');
            if (text.Length == 0 || text[0] == '#')
            {
                continue;
            }

            var colon = text.IndexOf(':', StringComparison.Ordinal);
            var (name, hash) = colon < 0 ? (text, "") : (text[..colon], text[(colon + 1)..]);
            if (NameProblem(name) is { } wrongName)
            {
                problems.Add($"Line {number}: {wrongName}");
            }
            else if (HashProblem(hash) is { } wrongHash)
            {
                problems.Add($"Line {number}: {wrongHash}");
            }
            else if (!users.TryAdd(name, new HtpasswdUser(name, hash)))
            {
                problems.Add($"Line {number}: User '{name}' is there already. Leave one of them out.");
            }
        }

        return problems.Count > 0 ? throw new UnusableFileException(path, problems) : new Htpasswd(users);
    }

    /// <summary>Why a name cannot be a user's; null when it can.</summary>
    public static string? NameProblem(string name) =>
        name.Length is 0 or > 128 || name.Any(c => c is <= ' ' or > '~' or ':' or '/' or '*')
            ? "A user's name is 1 to 128 printable ASCII characters, without ':', '/' and '*'. Call it otherwise."
            : name.StartsWith(RobotAccounts.LoginPrefix, StringComparison.Ordinal)
                ? $"'{RobotAccounts.LoginPrefix}' is what the names of robots begin with. Call the user otherwise."
                : null;

    /// <summary>Why a password cannot be used; null when it can.</summary>
    /// <remarks>bcrypt looks at 72 bytes: with more, another password would do as well.</remarks>
    public static string? PasswordProblem(string password) =>
        password.Length == 0 ? "The password is empty."
        : password.Contains('\0', StringComparison.Ordinal) ? "The password has a NUL character. Choose another one."
        : Encoding.UTF8.GetByteCount(password) > 72 ? "The password has more than 72 bytes. Choose a shorter one."
        : null;

    private static string? HashProblem(string hash)
    {
        var isBcrypt = hash.Length == HashLength
            && hash.StartsWith("$2", StringComparison.Ordinal)
            && hash[2] is 'a' or 'b' or 'y'
            && hash[3] == '$'
            && hash[6] == '$'
            && char.IsAsciiDigit(hash[4])
            && char.IsAsciiDigit(hash[5])
            && hash.AsSpan(7).IndexOfAnyExcept(BcryptDigits) < 0;
        return !isBcrypt
            ? "This is no bcrypt hash. Make it with 'user add', or with htpasswd -B."
            : HtpasswdUser.CostOf(hash) is < MinCost or > MaxCost
                ? $"The hash has cost {HtpasswdUser.CostOf(hash)}; each login would compute 2 to the power of that. Make it with one from {MinCost} to {MaxCost}."
                : null;
    }

    private static readonly System.Buffers.SearchValues<char> BcryptDigits =
        System.Buffers.SearchValues.Create("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
}

internal sealed record HtpasswdUser(string Name, string Hash)
{
    public int Cost => CostOf(Hash);

    /// <summary>Tells this password from the next; nothing of either.</summary>
    public string Credential { get; } = Secrets.Fingerprint(Hash);

    public static int CostOf(string hash) => ((hash[4] - '0') * 10) + hash[5] - '0';
}
