using System.Text;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Support;

/// <summary>The token service of a <see cref="FakeUpstream"/>, or of several: opaque tokens that end.</summary>
internal sealed class FakeTokens
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, (string[] Scopes, DateTimeOffset Ends)> _issued = [];
    private int _count;

    /// <summary>The account that it wants to see; null when it has tokens for anybody.</summary>
    public (string User, string Password)? Account { get; set; }

    /// <summary>What is taken in place of the account.</summary>
    public string? RefreshToken { get; set; }

    /// <summary>How long a token is good.</summary>
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether the answer tells the lifetime; clients are to take a minute when it does not.</summary>
    public bool TellsLifetime { get; set; } = true;

    public TimeProvider Time { get; set; } = TimeProvider.System;

    /// <summary>How many tokens there were.</summary>
    public int Issued => Volatile.Read(ref _count);

    /// <summary>No token that was issued so far is good any more.</summary>
    public void EndAll()
    {
        lock (_lock)
        {
            _issued.Clear();
        }
    }

    public bool Allows(string? authorization, string? repository)
    {
        lock (_lock)
        {
            return authorization?.Split(' ') is ["Bearer", var token] && _issued.TryGetValue(token, out var issued)
                && issued.Ends > Time.GetUtcNow() && (repository is null || issued.Scopes.Contains($"repository:{repository}:pull"));
        }
    }

    public FakeAnswer Answer(UpstreamCall call, IReadOnlyDictionary<string, string> query, IReadOnlyDictionary<string, string> form)
    {
        var asked = call.Method == "POST" ? form : query;
        if (call.Method == "POST" ? RefreshToken is null || form.GetValueOrDefault("refresh_token") != RefreshToken
            : Account is { } account && call.Authorization != BasicOf(account.User, account.Password))
        {
            return FakeAnswer.Error(401, "UNAUTHORIZED");
        }

        var token = Guid.NewGuid().ToString("n");
        lock (_lock)
        {
            _issued[token] = (asked.GetValueOrDefault("scope", "").Split(' '), Time.GetUtcNow() + Lifetime);
            _count++;
        }

        var answer = new JsonObject { [call.Method == "POST" ? "access_token" : "token"] = token };
        if (TellsLifetime)
        {
            answer["expires_in"] = (int)Lifetime.TotalSeconds;
        }

        return new FakeAnswer(200, Encoding.UTF8.GetBytes(answer.ToJsonString()));
    }

    public static string BasicOf(string user, string password) =>
        $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"))}";
}
