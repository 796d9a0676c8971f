using System.Net.Http.Headers;
using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>How a server wants to be told who somebody is.</summary>
public enum Login
{
    /// <summary>By name and password with each request; it issues no tokens.</summary>
    Basic,

    /// <summary>By a token, which alone takes name and password.</summary>
    Tokens,
}

/// <summary>
/// The users of a server, and what they may do, in files as an operator writes them: Alice, and who has a name that not every
/// encoding likes, push to <c>team/</c>, <c>closed/</c> and <c>public/</c>; Bob pulls from <c>team/</c>, and pushes to
/// <c>bob/</c> alone; from <c>public/</c> everybody pulls.
/// </summary>
internal sealed class Accounts : IAsyncDisposable
{
    private readonly TempFolder _folder = new();

    public static Account Alice { get; } = new("alice", "alice's secret");

    public static Account Bob { get; } = new("bob", "bob's secret");

    /// <summary>Wherever this name begins in a token, base64url has a '-' and a '_' for it that base64 has not.</summary>
    public static Account Odd { get; } = new("o~~~d???d>>>", "somebody's secret");

    public static TheoryData<Login> EveryLogin => [.. Enum.GetValues<Login>()];

    public static async Task<Accounts> CreateAsync()
    {
        var accounts = new Accounts();
        await File.WriteAllLinesAsync(
            accounts._folder["htpasswd"],
            new[] { Alice, Bob, Odd }.Select(user => user.HtpasswdLine));
        await File.WriteAllTextAsync(accounts._folder["policies.json"], """
            {
              "policies": [
                { "subjects": ["user:alice", "user:o~~~d???d>>>"], "repositories": ["team/**", "closed/**", "public/**"], "actions": ["pull", "push", "delete"] },
                { "subjects": ["user:bob"], "repositories": ["team/**"], "actions": ["pull"] },
                { "subjects": ["user:bob"], "repositories": ["bob/**"], "actions": ["pull", "push"] },
                { "subjects": ["anonymous", "authenticated"], "repositories": ["public/**"], "actions": ["pull"] }
              ]
            }
            """);
        return accounts;
    }

    /// <summary>Of a server that they log in to, as <c>OciRegistry:Section:Name=value</c>.</summary>
    public string[] Settings(Login login) =>
    [
        $"OciRegistry:Auth:Htpasswd={_folder["htpasswd"]}",
        $"OciRegistry:Auth:PolicyFile={_folder["policies.json"]}",
        login == Login.Basic ? "OciRegistry:Auth:Tokens:Enabled=false" : "OciRegistry:Auth:Basic=false",
    ];

    public ValueTask DisposeAsync() => _folder.DisposeAsync();
}

internal sealed record Account(string Name, string Password)
{
    private const int Cost = 4; // the least: these secrets are in the source

    /// <summary>As the file of users has it.</summary>
    public string HtpasswdLine => $"{Name}:{BCrypt.Net.BCrypt.HashPassword(Password, Cost)}";

    /// <summary>As clients take both in one argument.</summary>
    public string Pair => $"{Name}:{Password}";

    public AuthenticationHeaderValue Basic => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Pair)));

    /// <summary>A token for these scopes, or for what of them is allowed.</summary>
    public async Task<AuthenticationHeaderValue> TokenAsync(HttpClient http, params string[] scopes)
    {
        var query = string.Concat(scopes.Select(scope => $"&scope={scope}"));
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/token?service=oci-registry{query}");
        request.Headers.Authorization = Basic;
        using var response = await http.SendAsync(request);
        return new("Bearer", (string)(await response.JsonAsync())["token"]!);
    }

    /// <summary>Lets the test's own requests to a server go under this name, in one repository.</summary>
    public async Task SignInAsync(ServerProcess registry, Login login, string repository) =>
        registry.Http.DefaultRequestHeaders.Authorization = login == Login.Basic
            ? Basic
            : await TokenAsync(registry.Http, $"repository:{repository}:pull,push,delete");
}
