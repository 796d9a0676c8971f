using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>What clients send to log in, and what is in the tokens that they get.</summary>
internal static class TokenClient
{
    public static (string Name, string Value) Basic(string name, string password) =>
        ("Authorization", $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{name}:{password}"))}");

    public static (string Name, string Value) Bearer(string token) => ("Authorization", $"Bearer {token}");

    /// <summary>GET /token, of distribution's specification.</summary>
    public static Task<HttpResponseMessage> AskTokenAsync(
        this HttpClient http, string query, params (string Name, string Value)[] headers) =>
        http.RequestAsync("GET", $"/token?{query}", headers);

    /// <summary>POST /token, of OAuth 2.</summary>
    public static Task<HttpResponseMessage> PostTokenAsync(this HttpClient http, params (string Name, string Value)[] fields) =>
        http.PostAsync(
            new Uri("/token", UriKind.Relative),
            new FormUrlEncodedContent(fields.Select(field => KeyValuePair.Create(field.Name, field.Value))));

    /// <summary>A token for scopes, of who has a name and password.</summary>
    public static async Task<string> TokenAsync(this HttpClient http, string name, string password, params string[] scopes)
    {
        using var answer = await http.AskTokenAsync(
            string.Join('&', scopes.Select(scope => $"scope={Uri.EscapeDataString(scope)}")), Basic(name, password));
        return await answer.TokenAsync();
    }

    public static async Task<string> TokenAsync(this HttpResponseMessage answer) =>
        (string)(await answer.JsonAsync())["token"]!;

    public static JsonNode HeaderOf(string token) => Part(token, 0);

    public static JsonNode PayloadOf(string token) => Part(token, 1);

    /// <summary>The scopes of a token: <c>repository:a:pull,push</c>.</summary>
    public static string[] ScopesOf(string token) =>
    [
        .. PayloadOf(token)["access"]!.AsArray().Select(scope =>
            $"{(string)scope!["type"]!}:{(string)scope["name"]!}:{string.Join(',', scope.Texts("actions"))}"),
    ];

    /// <summary>401 in the envelope, with a challenge of these parts.</summary>
    public static async Task ShouldBeChallengedAsync(this HttpResponseMessage answer, params string[] parts)
    {
        await answer.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        var challenge = answer.Headers.GetValues("WWW-Authenticate").ShouldHaveSingleItem();
        challenge.ShouldStartWith("Bearer realm=\"http");
        foreach (var part in parts)
        {
            challenge.ShouldContain(part);
        }
    }

    /// <summary>A client at another address of this machine.</summary>
    public static HttpClient From(string address, Uri url) => new(new SocketsHttpHandler
    {
        UseProxy = false,
        ConnectCallback = async (context, cancellationToken) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
            await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    {
        BaseAddress = url,
    };

    private static JsonNode Part(string token, int number) =>
        JsonNode.Parse(Base64Url.DecodeFromChars(token.Split('.')[number]))!;
}
