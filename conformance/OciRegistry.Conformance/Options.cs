namespace OciRegistry.Conformance;

/// <summary>The command line.</summary>
internal sealed record Options
{
    public const string Usage = """
        Checks a running OCI registry against the distribution spec, over HTTP only.

          OciRegistry.Conformance --url http://127.0.0.1:5000 [options]

          --repo NAME            checks use repositories below this name     (conformance/own1)
          --repo2 NAME           the second repository of mount checks       (conformance/own2)
          --username NAME        credentials for Basic or Bearer challenges
          --password SECRET
          --only AREA[,AREA]     run these areas only
          --house                also check what this project's own registry promises beyond the spec
          --junit FILE           write JUnit XML
          --verbose              list the checks that passed, too
          --list                 list the rules and send nothing

        Deletes must be enabled and pushes allowed on the registry.
        Exit code: 0 no MUST or SHOULD failed, 1 some did, 2 the run could not start.
        """;

    public Uri Url { get; private set; } = new("http://127.0.0.1:5000");

    public string Repository { get; private set; } = "conformance/own1";

    public string SecondRepository { get; private set; } = "conformance/own2";

    public string? Username { get; private set; }

    public string? Password { get; private set; }

    public IReadOnlyList<string> Only { get; private set; } = [];

    public bool House { get; private set; }

    public string? JUnitFile { get; private set; }

    public bool Verbose { get; private set; }

    public bool List { get; private set; }

    /// <exception cref="FormatException">An argument is unknown or lacks its value.</exception>
    public static Options Parse(string[] arguments)
    {
        var options = new Options();
        for (var i = 0; i < arguments.Length; i++)
        {
            var name = arguments[i];
            string Value() =>
                ++i < arguments.Length ? arguments[i] : throw new FormatException($"{name} wants a value.");
            switch (name)
            {
                case "--url":
                    options.Url = ParseUrl(Value());
                    break;
                case "--repo":
                    options.Repository = Value();
                    break;
                case "--repo2":
                    options.SecondRepository = Value();
                    break;
                case "--username":
                    options.Username = Value();
                    break;
                case "--password":
                    options.Password = Value();
                    break;
                case "--only":
                    options.Only = [.. options.Only, .. Value().Split(',', StringSplitOptions.RemoveEmptyEntries)];
                    break;
                case "--house":
                    options.House = true;
                    break;
                case "--junit":
                    options.JUnitFile = Value();
                    break;
                case "--verbose":
                    options.Verbose = true;
                    break;
                case "--list":
                    options.List = true;
                    break;
                default:
                    throw new FormatException($"Unknown argument {name}.");
            }
        }

        return options;
    }

    private static Uri ParseUrl(string value) =>
        Uri.TryCreate(value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
            ? url
            : throw new FormatException($"--url wants an absolute http or https URL, not {value}.");
}
