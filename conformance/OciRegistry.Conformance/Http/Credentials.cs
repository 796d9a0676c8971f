using System.Collections.Concurrent;
using System.Text;
using System.Text.RegularExpressions;

namespace OciRegistry.Conformance.Http;

/// <summary>Answers Basic and Bearer challenges. Authorization itself is not under test here.</summary>
internal sealed partial class Credentials(HttpClient http, Uri registry, string? username, string? password)
{
    /// <summary>A first challenge asks for the repository; a second, where a blob is mounted without a source, for that one too.</summary>
    public const int MostChallenges = 2;

    private readonly ConcurrentDictionary<string, string> _tokens = new();

    private string? Basic => username is null
        ? null
        : "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{username}:{password}"));

    /// <summary>The token learned for this kind of request, else Basic; never anything for another host.</summary>
    public string? For(Request request) =>
        request.Uri.Authority != registry.Authority ? null : _tokens.GetValueOrDefault(Key(request), Basic!);

    /// <summary>Fetches the token that a 401 asks for; false when there is nothing more to try.</summary>
    public async Task<bool> LearnAsync(Answer unauthorized)
    {
        var challenge = unauthorized.Optional("WWW-Authenticate") ?? "";
        var parameters = Parameter().Matches(challenge).ToDictionary(
            match => match.Groups[1].Value, match => match.Groups[2].Value, StringComparer.OrdinalIgnoreCase);
        if (!challenge.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
            || !parameters.TryGetValue("realm", out var realm))
        {
            return false;
        }

        var query = string.Join('&', parameters
            .Where(parameter => parameter.Key is "service" or "scope")
            .Select(parameter => $"{parameter.Key}={Uri.EscapeDataString(parameter.Value)}"));
        using var message = new HttpRequestMessage(HttpMethod.Get, $"{realm}?{query}");
        message.Headers.TryAddWithoutValidation("Authorization", Basic);
        using var response = await http.SendAsync(message);
        if (!response.IsSuccessStatusCode)
        {
            return false;
        }

        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync());
        var token = answer?["token"] ?? answer?["access_token"];
        _tokens[Key(unauthorized.Request)] = $"Bearer {token}";
        return token is not null;
    }

    // One scope covers what is done in a repository, whatever the digest or session in the path is: so a request that is sent
    // by half, and cannot be asked for its token, has that of the one that started the session.
    private static string Key(Request request)
    {
        var action = request.Method switch
        {
            "GET" or "HEAD" => "pull",
            "DELETE" => "delete",
            _ => "push",
        };
        return $"{action} {RepositoryPath().Match(request.RawTarget ?? request.Uri.AbsolutePath).Value}";
    }

    [GeneratedRegex("([a-z]+)=\"([^\"]*)\"", RegexOptions.IgnoreCase)]
    private static partial Regex Parameter();

    [GeneratedRegex("^/v2/.*/(?=(blobs|manifests|tags|referrers)/)")]
    private static partial Regex RepositoryPath();
}
