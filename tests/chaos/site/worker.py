"""The command line with one mutation applied: ``python -m chaos.site.worker run --role …``."""

from chaos.site.mutations import apply_named_mutation

if __name__ == "__main__":
    from tidegauge.cli import main

    apply_named_mutation()
    main()
