using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Primitives;

namespace OciRegistry.Tests.Support;

/// <summary>
/// A registry that is pulled through, on a port of its own: real Kestrel, content and faults of the test, and it remembers
/// every request, those to its token service at <c>/token</c> too.
/// </summary>
internal sealed partial class FakeUpstream : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly FakeContent _content = new();
    private readonly Lock _lock = new();
    private readonly List<UpstreamCall> _calls = [];
    private string? _basic;
    private string? _bearer;
    private int? _rateLimitRemaining;

    private FakeUpstream(WebApplication app)
    {
        _app = app;
        app.Run(AnswerAsync);
    }

    public Uri Url => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());

    /// <summary>Name and port.</summary>
    public string Host => Url.Authority;

    /// <summary>What goes wrong with a request; null when nothing does.</summary>
    public Func<UpstreamCall, UpstreamFault?>? Faults { get; set; }

    /// <summary>Its token service; of another upstream when theirs is one.</summary>
    public FakeTokens Tokens { get; set; } = new();

    /// <summary>Whether it has the referrers API; else 404.</summary>
    public bool HasReferrers { get; set; } = true;

    /// <summary>How many manifests may still be pulled, as Docker Hub tells; null when it tells nothing.</summary>
    public int? RateLimitRemaining
    {
        get
        {
            lock (_lock)
            {
                return _rateLimitRemaining;
            }
        }

        set
        {
            lock (_lock)
            {
                _rateLimitRemaining = value;
            }
        }
    }

    /// <summary>The requests so far.</summary>
    public IReadOnlyList<UpstreamCall> Calls
    {
        get
        {
            lock (_lock)
            {
                return [.. _calls];
            }
        }
    }

    public static async Task<FakeUpstream> StartAsync(X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MinResponseDataRate = null; // a client that is slow on purpose
            kestrel.Listen(IPAddress.Loopback, 0, listener =>
            {
                if (certificate is not null)
                {
                    listener.UseHttps(certificate, https =>
                    {
                        https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
                        https.AllowAnyClientCertificate();
                    });
                }
            });
        });
        builder.Logging.ClearProviders();

        // Requests that a fault holds are not waited for.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(1));
        var upstream = new FakeUpstream(builder.Build());
        await upstream._app.StartAsync();
        return upstream;
    }

    public int Count(string method, string pathSuffix) =>
        Count(call => call.Method == method && call.Path.EndsWith(pathSuffix, StringComparison.Ordinal));

    public int Count(Func<UpstreamCall, bool> which) => Calls.Count(which);

    public void ForgetCalls()
    {
        lock (_lock)
        {
            _calls.Clear();
        }
    }

    public Digest AddBlob(string repository, byte[] content)
    {
        var digest = Digest.Of(content);
        _content.AddBlob(repository, digest, content);
        return digest;
    }

    /// <summary>The tags are moved when they are there already.</summary>
    public Digest AddManifest(string repository, byte[] content, string mediaType, params string[] tags)
    {
        var digest = Digest.Of(content);
        _content.AddManifest(repository, digest, content, mediaType, tags);
        return digest;
    }

    public FakeImage AddImage(string repository, string tag, params byte[][] layers)
    {
        var config = Json(new JsonObject
        {
            ["architecture"] = "amd64",
            ["os"] = "linux",
            ["config"] = new JsonObject(),
            ["rootfs"] = new JsonObject
            {
                ["type"] = "layers",
                ["diff_ids"] = new JsonArray([.. layers.Select(layer => JsonValue.Create(Digest.Of(layer).ToString()))]),
            },
        });
        var manifest = Json(new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.ImageManifest,
            ["config"] = Descriptor("application/vnd.oci.image.config.v1+json", config),
            ["layers"] = new JsonArray([.. layers.Select(layer => Descriptor("application/vnd.oci.image.layer.v1.tar", layer))]),
        });
        return new FakeImage(
            manifest,
            AddManifest(repository, manifest, MediaTypes.ImageManifest, tag),
            (AddBlob(repository, config), config),
            [.. layers.Select(layer => (AddBlob(repository, layer), layer))]);
    }

    /// <summary>An index of manifests that it has, for a platform each.</summary>
    public Digest AddIndex(string repository, string tag, params Digest[] manifests)
    {
        string[] architectures = ["amd64", "arm64", "s390x", "ppc64le", "riscv64"];
        var index = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.ImageIndex,
            ["manifests"] = new JsonArray([.. manifests.Select((manifest, i) =>
            {
                var descriptor = _content.Descriptor(repository, manifest);
                descriptor["platform"] = new JsonObject { ["architecture"] = architectures[i % architectures.Length], ["os"] = "linux" };
                return descriptor;
            })]),
        };
        return AddManifest(repository, Json(index), MediaTypes.ImageIndex, tag);
    }

    /// <summary>An artifact that refers to the subject, and is in its list of referrers.</summary>
    public Digest AddReferrer(string repository, Digest subject, string artifactType)
    {
        var empty = "{}"u8.ToArray();
        AddBlob(repository, empty);
        var artifact = AddManifest(
            repository,
            Json(new JsonObject
            {
                ["schemaVersion"] = 2,
                ["mediaType"] = MediaTypes.ImageManifest,
                ["artifactType"] = artifactType,
                ["config"] = Descriptor("application/vnd.oci.empty.v1+json", empty),
                ["layers"] = new JsonArray(Descriptor("application/vnd.oci.empty.v1+json", empty)),
                ["subject"] = _content.Descriptor(repository, subject),
            }),
            MediaTypes.ImageManifest);
        var descriptor = _content.Descriptor(repository, artifact);
        descriptor["artifactType"] = artifactType;
        _content.AddReferrer(repository, subject, descriptor);
        return artifact;
    }

    public void RemoveTag(string repository, string tag) => _content.RemoveTag(repository, tag);

    /// <summary>With the tags that it has.</summary>
    public void RemoveManifest(string repository, Digest digest) => _content.Remove(repository, digest);

    public void RemoveBlob(string repository, Digest digest) => _content.Remove(repository, digest);

    public void RequireBasic(string user, string password) => (_basic, _bearer) = (FakeTokens.BasicOf(user, password), null);

    /// <summary>From now on a token is wanted, which <see cref="Tokens"/> issues; the realm is <c>/token</c> here unless another is named.</summary>
    public void RequireBearer(string? user = null, string? password = null, string? realm = null, string? service = null)
    {
        Tokens.Account = user is null ? null : (user, password!);
        _basic = null;
        _bearer = $"Bearer realm=\"{realm ?? new Uri(Url, "/token").AbsoluteUri}\",service=\"{service ?? Host}\"";
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private static byte[] Json(JsonObject json) => Encoding.UTF8.GetBytes(json.ToJsonString());

    private static JsonObject Descriptor(string mediaType, byte[] content) => new()
    {
        ["mediaType"] = mediaType,
        ["digest"] = Digest.Of(content).ToString(),
        ["size"] = content.Length,
    };

    private static Dictionary<string, string> Texts(IEnumerable<KeyValuePair<string, StringValues>> values) =>
        values.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.OrdinalIgnoreCase);

    private async Task AnswerAsync(HttpContext context)
    {
        var request = context.Request;
        var headers = Texts(request.Headers);
        var call = new UpstreamCall(
            request.Method,
            request.Path.Value ?? "",
            request.QueryString.Value ?? "",
            headers.GetValueOrDefault("Range"),
            headers.GetValueOrDefault("Authorization"),
            headers)
        {
            ClientCertificate = context.Connection.ClientCertificate?.Subject,
        };
        lock (_lock)
        {
            _calls.Add(call);
        }

        var fault = Faults?.Invoke(call) ?? new UpstreamFault();
        await (fault.Before?.Invoke().WaitAsync(context.RequestAborted) ?? Task.CompletedTask);
        var form = request.HasFormContentType ? Texts(await request.ReadFormAsync(context.RequestAborted)) : [];
        var answer = Answer(call, Texts(request.Query), form).With(fault);
        if (answer.Headers.TryGetValue("ETag", out var tag) && headers.GetValueOrDefault("If-None-Match") == tag)
        {
            answer = answer with { Status = 304, Body = [] };
        }

        await answer.Within(fault.IgnoresRange ? null : call.Range).SendAsync(context, fault);
    }

    private FakeAnswer Answer(UpstreamCall call, Dictionary<string, string> query, Dictionary<string, string> form)
    {
        if (call.Path == "/token")
        {
            return Tokens.Answer(call, query, form);
        }

        var content = ContentPath().Match(call.Path);
        var tags = TagsPath().Match(call.Path);
        var repository = content.Success ? content.Groups[1].Value : tags.Success ? tags.Groups[1].Value : null;
        if (Challenge(call, repository) is { } challenge)
        {
            return FakeAnswer.Error(401, "UNAUTHORIZED", ("WWW-Authenticate", challenge));
        }

        if (tags.Success)
        {
            return _content.Tags(repository!, query.TryGetValue("n", out var n) ? int.Parse(n) : null, query.GetValueOrDefault("last"));
        }

        return content.Groups[2].Value switch
        {
            "manifests" => Limited(call, _content.Manifest(repository!, content.Groups[3].Value)),
            "blobs" => _content.Blob(repository!, content.Groups[3].Value),
            "referrers" when HasReferrers => _content.Referrers(repository!, content.Groups[3].Value),
            _ => call.Path == "/v2/" ? new FakeAnswer(200, "{}"u8.ToArray()) : FakeAnswer.Error(404, "NOT_FOUND"),
        };
    }

    /// <summary>What is answered to a request without the right credentials; null when it has them.</summary>
    private string? Challenge(UpstreamCall call, string? repository) =>
        _basic is not null ? call.Authorization == _basic ? null : "Basic realm=\"fake\""
        : _bearer is null || Tokens.Allows(call.Authorization, repository) ? null
        : repository is null ? _bearer
        : $"{_bearer},scope=\"repository:{repository}:pull\"";

    private FakeAnswer Limited(UpstreamCall call, FakeAnswer answer)
    {
        lock (_lock)
        {
            if (_rateLimitRemaining is { } remaining)
            {
                _rateLimitRemaining = remaining = call.Method == "GET" && remaining > 0 ? remaining - 1 : remaining;
                answer.Headers["ratelimit-limit"] = "100;w=21600";
                answer.Headers["ratelimit-remaining"] = $"{remaining};w=21600";
            }

            return answer;
        }
    }

    [GeneratedRegex("^/v2/(.+)/(manifests|blobs|referrers)/([^/]+)$")]
    private static partial Regex ContentPath();

    [GeneratedRegex("^/v2/(.+)/tags/list$")]
    private static partial Regex TagsPath();
}
